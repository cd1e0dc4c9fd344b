// Which link answers how much of a disk, and where: sums, and a row of cells to be drawn. From the map alone.
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import type { Chain } from '../chain/chain.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Allocation } from './report-facts.ts';

const MOST_CELLS = 1280;

export async function allocationOf(chain: Chain, task: TaskOptions = {}): Promise<Allocation> {
  const perCell = Math.max(1, Math.ceil(chain.capacity / MOST_CELLS));
  const count = Math.ceil(chain.capacity / perCell);
  const depths = chain.links.length;
  const data = new Float64Array(count * depths);
  const links = chain.links.map((_, depth) => ({ depth, data: 0, zero: 0 }));
  let absent = 0;
  for await (const runs of walkRuns(chain, wholeOf(chain))) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      const [from, to, depth] = [runs.startAt(index), runs.endAt(index), runs.depthAt(index)];
      const length = (to - from) * SECTOR_BYTES;
      if (runs.isAbsentAt(index)) absent += length;
      else if (!runs.isDataAt(index)) links[depth]!.zero += length;
      else {
        links[depth]!.data += length;
        for (let cell = Math.floor(from / perCell); cell * perCell < to; cell++) {
          const held = Math.min(to, (cell + 1) * perCell) - Math.max(from, cell * perCell);
          data[cell * depths + depth]! += held;
        }
      }
    }
  }
  const cells = Array.from({ length: count }, (_, cell): [number, number] => {
    const held = data.subarray(cell * depths, (cell + 1) * depths);
    const sum = held.reduce((total, each) => total + each, 0);
    if (sum === 0) return [-1, 0];
    const size = Math.min(perCell, chain.capacity - cell * perCell);
    return [held.indexOf(Math.max(...held)), Number((sum / size).toFixed(4))];
  });
  return { links, absent, 'cell-size': perCell * SECTOR_BYTES, cells };
}

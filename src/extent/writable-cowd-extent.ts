// The writing half of an ESX delta (COWD): the unclean mark around all changes; entries of 1 are never written,
// because readers disagree on them, so zeros are stored.
import type { OnFinding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { CowdHeaderStruct } from '../format/cowd-header.ts';
import { CowdGrains } from '../grain/cowd-grains.ts';
import { CowdGrainWriter } from '../grain/cowd-writer.ts';
import { assertCowdTablesApart } from '../grain/tables-apart.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { readCowdHeader, shownCowdFields } from './cowd-extent.ts';
import { plainOrigin, type WritableExtent } from './extent.ts';
import { agreedCapacity, grainExtent } from './grain-extent.ts';
import { uncleanMark } from './unclean-mark.ts';

const LARGEST_ZERO_WRITE = 1 << 20;

export async function openWritableCowdExtent(
  file: WritableFile,
  lineSectors: number | undefined,
  onFinding: OnFinding,
  memory = new ExtentMemory(),
): Promise<WritableExtent> {
  const header = await readCowdHeader(file);
  const capacity = agreedCapacity(file.path, header.capacity, header.grainSize, lineSectors);
  const grains = await CowdGrains.open(file, header, plainOrigin(file), onFinding, memory);
  assertCowdTablesApart(file.path, grains);
  const patch = async (field: 'freeSector' | 'uncleanShutdown', value: number): Promise<void> => {
    const at = CowdHeaderStruct.offsetOf(field);
    await file.write(CowdHeaderStruct.encode({ [field]: value }).subarray(at, at + 4), at);
  };
  // freeSector is a hint. Grains go to the end of the file: nothing in use lies behind it, and a freeSector that lies
  // cannot make the file huge or have a grain overwritten.
  let stored = header.freeSector;
  const writer = new CowdGrainWriter(file, grains, async (freeSector) => {
    if (freeSector === stored) return;
    await patch('freeSector', freeSector);
    stored = freeSector;
  });
  return {
    ...grainExtent('cowd', file, grains, capacity, shownCowdFields(header)),
    unclean: header.uncleanShutdown,
    write: (start, data) => writer.write(start, data),
    async zero(range, hidesParent) {
      if (!hidesParent) return;
      const step = LARGEST_ZERO_WRITE / SECTOR_BYTES;
      for (let at: number = range.start; at < range.start + range.count; at += step) {
        const count = Math.min(step, range.start + range.count - at);
        await writer.write(at, Buffer.alloc(count * SECTOR_BYTES));
      }
    },
    flush: () => writer.flush(),
    ...uncleanMark(
      file,
      (value) => patch('uncleanShutdown', value),
      () => Promise.resolve(),
      () => writer.flush(),
    ),
  };
}

// The reads that a disk's data takes at the least, and where on the disk they belong: for `floor.js pieces`. Made before
// anything is measured.
import { existsSync, writeFileSync } from 'node:fs';
import { openChain, walkRuns, wholeOf } from '../dist/read.js';

const CHUNK_BYTES = 1 << 20;
const SECTOR_BYTES = 512;

/**
 * Writes the plan of `disk` beside it, unless it is there, and returns its path. Four numbers a read: the file, the offset,
 * the length, and where on the disk what was read since the last such number ends; -1 where more belongs to it.
 */
export async function planOf(disk) {
  const path = `${disk}.plan.json`;
  if (existsSync(path)) return path;
  const chain = await openChain(disk, 'read');
  const files = [];
  const pieces = [];
  let [at, filled] = [0, 0];
  const close = () => {
    if (filled > 0) pieces[pieces.length - 1] = at;
    filled = 0;
  };
  for await (const runs of walkRuns(chain, wholeOf(chain))) {
    for (const { start, count, state, file, offset } of runs) {
      if (state !== 'data') continue;
      if (start * SECTOR_BYTES !== at) close();
      at = start * SECTOR_BYTES;
      if (!files.includes(file)) files.push(file);
      for (let done = 0; done < count * SECTOR_BYTES;) {
        const length = Math.min(count * SECTOR_BYTES - done, CHUNK_BYTES - filled);
        pieces.push(files.indexOf(file), offset + done, length, -1);
        done += length;
        at += length;
        filled += length;
        if (filled === CHUNK_BYTES) close();
      }
    }
  }
  close();
  await chain.close();
  writeFileSync(path, JSON.stringify({ files, pieces }));
  return path;
}

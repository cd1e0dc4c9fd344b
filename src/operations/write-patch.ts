// The difference between two disks as a stream that `applyPatch` puts over the first. Rule: it says what it is made from
// and what it makes, and its end proves that it is whole.
import { createHash } from 'node:crypto';
import { sectorRange } from '../block/sector-range.ts';
import type { Chain } from '../chain/chain.ts';
import { VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { encodePatchHeader, encodePatchRecord, MOST_PATCH_SECTORS } from '../format/patch.ts';
import { hashContents } from './content-hash.ts';
import { differences, joined, type DifferenceOptions } from './differences.ts';

export interface DifferenceWritten {
  /** Bytes of the disk that are given new data, and zeros. */
  readonly changed: number;
  readonly zeroed: number;
}

export interface PatchWritten extends DifferenceWritten {
  /** `hashContents` of both disks, in hex. */
  readonly from: string;
  readonly to: string;
}

/** Hands the patch that turns `a` into `b` to `write`, piece by piece. @throws VmdkError `sizes-differ` (refused). */
export async function writePatch(
  a: Chain,
  b: Chain,
  write: (data: Uint8Array) => Promise<void>,
  options: DifferenceOptions = {},
): Promise<PatchWritten> {
  assertSameSize(a, b);
  const [fromHash, toHash] = [await hashContents(a, options), await hashContents(b, options)];
  const digest = createHash('sha256');
  const put = (data: Uint8Array): Promise<void> => {
    digest.update(data);
    return write(data);
  };
  await put(encodePatchHeader({ capacity: a.capacity, fromHash, toHash }));
  let [records, changed, zeroed] = [0, 0, 0];
  for await (const { start, count, zero } of joined(differences(a, b, options))) {
    if (zero) {
      await put(encodePatchRecord({ kind: 'zero', start, count }));
      records++;
      zeroed += count * SECTOR_BYTES;
      continue;
    }
    for (let at = start; at < start + count; at += MOST_PATCH_SECTORS) {
      const part = sectorRange(at, Math.min(MOST_PATCH_SECTORS, start + count - at));
      const data = allocateRoom(part.count * SECTOR_BYTES);
      await b.read(part, data);
      await put(encodePatchRecord({ kind: 'data', start: part.start, count: part.count }));
      await put(data);
      records++;
    }
    changed += count * SECTOR_BYTES;
  }
  await put(encodePatchRecord({ kind: 'end', start: records, count: 0 }));
  await write(digest.digest());
  return { changed, zeroed, from: fromHash.toString('hex'), to: toHash.toString('hex') };
}

/** @throws VmdkError `sizes-differ` (refused): no delta and no patch changes the size of a disk. */
export function assertSameSize(a: Chain, b: Chain): void {
  if (a.capacity === b.capacity) return;
  throw new VmdkError('refused', 'sizes-differ', 'a delta or a patch leads only to a disk of the same size', {
    path: b.leaf.path,
    found: `${b.capacity} sectors`,
    expected: `${a.capacity} sectors as in ${a.leaf.path}`,
    hint: 'vmdkit diff without -o lists what differs; vmdkit resize makes a disk as large as the other.',
  });
}

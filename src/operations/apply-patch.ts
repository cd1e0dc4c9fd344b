// Puts a patch over a disk. Rule: nothing is written before the patch is proved whole and the disk proved to be what the
// patch was made from; afterwards the disk is proved to be what it should be.
import { createHash } from 'node:crypto';
import { sectorRange } from '../block/sector-range.ts';
import type { Chain } from '../chain/chain.ts';
import type { WritableChain } from '../chain/writable-chain.ts';
import { VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import { HALF_PATCHED_KEY } from '../format/half-merged.ts';
import {
  decodePatchHeader,
  decodePatchRecord,
  notAPatch,
  PATCH_DIGEST_BYTES,
  PatchHeader,
  PatchRecord,
  type PatchEntry,
  type PatchFacts,
} from '../format/patch.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { hashContents } from './content-hash.ts';
import type { PatchWritten } from './write-patch.ts';

export interface ApplyOptions extends TaskOptions {
  /** Go on although the disk is not what the patch was made from: what it becomes is proved all the same. */
  force?: boolean | undefined;
}

export interface PatchApplied extends PatchWritten {
  /** The disk was what the patch makes already; nothing was written. */
  readonly already: boolean;
}

/** A patch that is whole, and fits. */
export interface PatchPlan {
  readonly facts: PatchFacts;
  /** The disk is what the patch makes already. */
  readonly already: boolean;
  /** Hashes of the contents, in hexadecimal. */
  readonly from: string;
  readonly to: string;
}

/**
 * Puts the patch over the disk where it stands. Stopped half-way, it leaves a disk between old and new, and nothing that says so:
 * `patchDisk` does, which also finishes it when it is called again.
 * @throws VmdkError `not-a-patch` (corrupt); `sizes-differ`, `patch-does-not-fit` (refused): nothing is written then.
 * `patch-result-differs` (corrupt) when the disk is not what it should be afterwards.
 */
export async function applyPatch(
  patch: RandomAccessFile,
  disk: WritableChain,
  options: ApplyOptions = {},
): Promise<PatchApplied> {
  const plan = await planPatch(patch, disk, options);
  return plan.already ? nothingToDo(plan) : writePatchOver(patch, plan, disk, options);
}

/**
 * Proves the patch, and that the disk holds what it was made from, or is half patched by it. Writes nothing.
 * @throws VmdkError `not-a-patch` (corrupt); `sizes-differ`, `patch-does-not-fit` (refused).
 */
export async function planPatch(
  patch: RandomAccessFile,
  disk: Chain,
  options: ApplyOptions = {},
): Promise<PatchPlan> {
  const facts = await provePatch(patch, options);
  if (facts.capacity !== disk.capacity) throw otherSize(patch, facts, disk);
  const [from, to] = [hex(facts.fromHash), hex(facts.toHash)];
  const now = hex(await hashContents(disk, options));
  const goesOn = disk.leaf.descriptor.ddb.get(HALF_PATCHED_KEY) === to;
  if (now !== to && now !== from && !goesOn && options.force !== true)
    throw doesNotFit(patch, disk, now, from);
  return { facts, already: now === to, from, to };
}

export function nothingToDo({ from, to }: PatchPlan): PatchApplied {
  return { already: true, changed: 0, zeroed: 0, from, to };
}

/** @throws VmdkError `patch-result-differs` (corrupt) when the disk is not what it should be, with all of it written. */
export async function writePatchOver(
  patch: RandomAccessFile,
  { facts, from, to }: PatchPlan,
  disk: WritableChain,
  options: TaskOptions = {},
): Promise<PatchApplied> {
  let [changed, zeroed] = [0, 0];
  for await (const { entry, at } of records(patch, facts)) {
    throwIfAborted(options);
    const length = entry.count * SECTOR_BYTES;
    if (entry.kind === 'zero') {
      await disk.zero(sectorRange(entry.start, entry.count));
      zeroed += length;
      continue;
    }
    const data = allocateRoom(length);
    await patch.readExactly(data, at);
    await disk.write(entry.start as Sectors, data);
    changed += length;
    options.onProgress?.({ phase: 'applying', done: at + length, total: await patch.size(), unit: 'bytes' });
  }
  await disk.flush(options);
  const made = hex(await hashContents(disk, options));
  if (made !== to) throw otherResult(patch, disk, made, to);
  return { already: false, changed, zeroed, from, to };
}

/** The header, once every record and the digest at the end are proved. */
async function provePatch(patch: RandomAccessFile, task: TaskOptions): Promise<PatchFacts> {
  const size = await patch.size();
  if (size < PatchHeader.byteLength) throw notAPatch(patch.path, 0, `${size} bytes`, 'a header');
  const head = Buffer.alloc(PatchHeader.byteLength);
  await patch.readExactly(head, 0);
  const facts = decodePatchHeader(head, patch.path);
  let end: number = PatchHeader.byteLength + PatchRecord.byteLength;
  for await (const { entry, at } of records(patch, facts)) {
    end = at + (entry.kind === 'data' ? entry.count * SECTOR_BYTES : 0) + PatchRecord.byteLength;
  }
  if (end + PATCH_DIGEST_BYTES !== size) {
    throw notAPatch(patch.path, end, `${size} bytes`, `${end + PATCH_DIGEST_BYTES} bytes in all`);
  }
  const digest = createHash('sha256');
  const room = allocateRoom(1 << 20);
  for (let at = 0; at < end; at += room.length) {
    throwIfAborted(task);
    const piece = room.subarray(0, Math.min(room.length, end - at));
    await patch.readExactly(piece, at);
    digest.update(piece);
  }
  const stored = Buffer.alloc(PATCH_DIGEST_BYTES);
  await patch.readExactly(stored, end);
  const found = digest.digest();
  if (!found.equals(stored)) throw notAPatch(patch.path, end, hex(found), `${hex(stored)} as its end says`);
  return facts;
}

/** Every record and where its data is. @throws VmdkError `not-a-patch` unless they ascend within the disk to an end. */
async function* records(
  patch: RandomAccessFile,
  { capacity }: PatchFacts,
): AsyncGenerator<{ entry: PatchEntry; at: number }> {
  const size = await patch.size();
  const head = Buffer.alloc(PatchRecord.byteLength);
  let [at, done, count] = [PatchHeader.byteLength, 0, 0];
  for (;;) {
    if (at + head.length > size)
      throw notAPatch(patch.path, size, 'the end of the file', 'the end of the patch');
    await patch.readExactly(head, at);
    const entry = decodePatchRecord(head, patch.path, at);
    if (entry.kind === 'end') {
      if (entry.start === count) return;
      throw notAPatch(patch.path, at, `${count} records`, `${entry.start} as its end says`);
    }
    if (entry.count === 0 || entry.start < done || entry.start + entry.count > capacity) {
      const found = `${entry.count} sectors from ${entry.start}`;
      throw notAPatch(patch.path, at, found, `sectors ${done} to ${capacity}, in ascending order`);
    }
    const data = at + head.length;
    const length = entry.kind === 'data' ? entry.count * SECTOR_BYTES : 0;
    if (data + length > size)
      throw notAPatch(patch.path, size, 'the end of the file', `${length} bytes of data`);
    yield { entry, at: data };
    at = data + length;
    done = entry.start + entry.count;
    count++;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function otherSize(patch: RandomAccessFile, facts: PatchFacts, disk: Chain): VmdkError {
  return new VmdkError('refused', 'sizes-differ', 'the patch was made from a disk of another size', {
    path: disk.leaf.path,
    found: `${disk.capacity} sectors`,
    expected: `${facts.capacity} sectors as ${patch.path} says`,
  });
}

function doesNotFit(patch: RandomAccessFile, disk: Chain, found: string, expected: string): VmdkError {
  return new VmdkError(
    'refused',
    'patch-does-not-fit',
    'the disk does not hold what the patch was made from',
    {
      path: disk.leaf.path,
      found,
      expected: `${expected} as ${patch.path} says`,
      hint: 'With --force it is put over this disk all the same, and the result is proved.',
    },
  );
}

function otherResult(
  patch: RandomAccessFile,
  disk: WritableChain,
  found: string,
  expected: string,
): VmdkError {
  return new VmdkError(
    'corrupt',
    'patch-result-differs',
    'the patch is applied, and the disk is not what it should be',
    {
      path: disk.leaf.path,
      found,
      expected: `${expected} as ${patch.path} says`,
      hint: 'The disk had held something else than the patch was made from, where the patch changes nothing.',
    },
  );
}

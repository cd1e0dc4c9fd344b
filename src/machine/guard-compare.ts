// Compares a disk with its fingerprint: both come in order, chunk by chunk, so that nothing is held but the differences.
import type { TaskOptions } from '../core/task.ts';
import type { Disk } from '../disk/disk.ts';
import { VmdkError } from '../core/errors.ts';
import { CHUNK_SECTORS, digestsOf, PIECE_DIGITS, PIECE_SECTORS, silentPieces } from './guard-digest.ts';
import { guardPathOf, type ReadGuard } from './guard-file.ts';
import type { GuardRange } from './guard-types.ts';

/** Beyond it, what changed is told more coarsely. */
const MOST_RANGES = 10_000;

export interface Comparison {
  /** In order, to the nearest piece. */
  readonly changed: readonly GuardRange[];
  /** Whether the same sectors are absent, zero and data. */
  readonly sameLayout: boolean;
}

/** @throws VmdkError `fingerprint-damaged`; `fingerprint-misfit` for that of another disk. */
export async function compareWith(disk: Disk, guard: ReadGuard, task: TaskOptions): Promise<Comparison> {
  const { capacity, chunkSectors, pieceSectors } = guard.header;
  if (capacity !== disk.capacity || chunkSectors !== CHUNK_SECTORS || pieceSectors !== PIECE_SECTORS) {
    throw new VmdkError('corrupt', 'fingerprint-misfit', 'this fingerprint is that of another disk', {
      path: guardPathOf(disk.path),
      found: `${capacity} sectors in chunks of ${chunkSectors}, pieces of ${pieceSectors}`,
      expected: `${disk.capacity} sectors in chunks of ${CHUNK_SECTORS}, pieces of ${PIECE_SECTORS}`,
    });
  }
  const changed: { start: number; count: number }[] = [];
  const note = (start: number, count: number): void => {
    const last = changed.at(-1);
    if (last !== undefined && (last.start + last.count === start || changed.length >= MOST_RANGES))
      last.count = start + count - last.start;
    else if (count > 0) changed.push({ start, count });
  };
  const noteChunk = (chunk: number, old: string | undefined, current: string | undefined): void => {
    const first = chunk * CHUNK_SECTORS;
    const sectors = Math.min(CHUNK_SECTORS, capacity - first);
    if (sectors <= 0) return;
    const [before, after] = [old ?? silentPieces(disk, sectors), current ?? silentPieces(disk, sectors)];
    // The few digits of a piece may agree by chance: then all of the chunk is named.
    const chance = before === after;
    for (let at = 0; at * PIECE_SECTORS < sectors; at++) {
      const digits = [at * PIECE_DIGITS, (at + 1) * PIECE_DIGITS] as const;
      if (!chance && before.slice(...digits) === after.slice(...digits)) continue;
      note(first + at * PIECE_SECTORS, Math.min(PIECE_SECTORS, sectors - at * PIECE_SECTORS));
    }
  };
  let layout = '';
  const then = guard.chunks();
  const now = digestsOf(disk, task, (digest) => void (layout = digest));
  let [before, after] = [await then.next(), await now.next()];
  while (before.done !== true || after.done !== true) {
    const old = before.done === true ? undefined : before.value;
    const current = after.done === true ? undefined : after.value;
    const chunk = Math.min(old?.chunk ?? Infinity, current?.chunk ?? Infinity);
    const [isOld, isNow] = [old?.chunk === chunk, current?.chunk === chunk];
    if (!isOld || !isNow || old!.digest !== current!.digest)
      noteChunk(chunk, isOld ? old!.pieces : undefined, isNow ? current!.pieces : undefined);
    if (isOld) before = await then.next();
    if (isNow) after = await now.next();
  }
  return { changed, sameLayout: layout === guard.mapDigest() };
}

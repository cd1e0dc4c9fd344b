// Where two chains differ, in order. Rule: only what metadata does not show to be equal is read, and a stretch is told
// of as differing only when its bytes do.
import { readRuns } from '../block/read-runs.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { isZero } from '../block/zero-scan.ts';
import type { Chain } from '../chain/chain.ts';
import { allocateRoom } from '../core/room.ts';
import { allOf, DONE } from '../core/settled.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { storeFor, type AnyFs } from '../storage/promises-file-store.ts';
import { inOrder } from './in-order.ts';
import { PairedChains, type PairedRuns, type Stretch } from './paired-runs.ts';

const CHUNK_SECTORS = (1 << 20) / SECTOR_BYTES;
const CHUNKS_IN_FLIGHT = 8;
const STEP = 4096;

export interface DifferenceOptions extends TaskOptions {
  /** Where the chains were opened: a FileStore, or anything shaped like node:fs/promises. Default: the real one. */
  fs?: AnyFs | undefined;
  /** Sectors to look at; all of the larger disk unless given. */
  range?: SectorRange | undefined;
}

/** Whole sectors that differ, the longest stretch that is alike in `zero`. */
export interface Difference {
  /** Sectors. */
  readonly start: number;
  readonly count: number;
  /** True when the second disk has nothing but zeros here. */
  readonly zero: boolean;
  /** Bytes that differ. */
  readonly bytes: number;
  /** The first byte of the disk that differs here. */
  readonly first: number;
}

/** What has been read to find the differences so far: bytes of each disk. */
export interface Comparing {
  compared: number;
}

/**
 * Every difference between two chains, the smaller of which counts as zeros past its end. Neighbours are one, but for
 * stretches of a mebibyte and more.
 */
export async function* differences(
  a: Chain,
  b: Chain,
  options: DifferenceOptions = {},
  comparing: Comparing = { compared: 0 },
): AsyncGenerator<Difference> {
  const pair = await PairedChains.of(storeFor(options.fs), a, b);
  const range = options.range ?? sectorRange(0, pair.capacity);
  const total = options.onProgress === undefined ? 0 : await countDoubtful(pair, range, options);
  const rooms: Buffer[] = [];
  const chunks = chunksOf(pair, range, options);
  for await (const found of inOrder(chunks, (chunk) => compareChunk(chunk, rooms), CHUNKS_IN_FLIGHT)) {
    yield* found.differences;
    comparing.compared += found.compared;
    options.onProgress?.({ phase: 'comparing', done: comparing.compared, total, unit: 'bytes' });
  }
}

/** Differences with neighbours joined, however long they are. */
export async function* joined(found: AsyncIterable<Difference>): AsyncGenerator<Difference> {
  let last: Difference | undefined;
  for await (const next of found) {
    if (last !== undefined && last.start + last.count === next.start && last.zero === next.zero) {
      last = { ...last, count: last.count + next.count, bytes: last.bytes + next.bytes };
      continue;
    }
    if (last !== undefined) yield last;
    last = next;
  }
  if (last !== undefined) yield last;
}

interface Chunk {
  readonly runs: PairedRuns;
  readonly stretch: Stretch;
}

async function* chunksOf(pair: PairedChains, range: SectorRange, task: TaskOptions): AsyncGenerator<Chunk> {
  for await (const runs of pair.walk(range)) {
    throwIfAborted(task);
    for (const { start, end } of pair.mayDiffer(runs)) {
      for (let at = start; at < end; at += CHUNK_SECTORS) {
        yield { runs, stretch: { start: at, end: Math.min(end, at + CHUNK_SECTORS) } };
      }
    }
  }
}

async function countDoubtful(pair: PairedChains, range: SectorRange, task: TaskOptions): Promise<number> {
  let sectors = 0;
  for await (const { stretch } of chunksOf(pair, range, task)) sectors += stretch.end - stretch.start;
  return sectors * SECTOR_BYTES;
}

interface Compared {
  /** Bytes of each disk. */
  readonly compared: number;
  readonly differences: Difference[];
}

function compareChunk({ runs, stretch: { start, end } }: Chunk, rooms: Buffer[]): Promise<Compared> {
  const length = (end - start) * SECTOR_BYTES;
  // A buffer a chunk under way: fresh memory for every chunk costs as much as reading into it.
  const room = rooms.pop() ?? allocateRoom(2 * CHUNK_SECTORS * SECTOR_BYTES);
  const [a, b] = [room.subarray(0, length), room.subarray(length, 2 * length)];
  const part = sectorRange(start, end - start);
  const reads = [readRuns(runs.a.slice(part), a), readRuns(runs.b.slice(part), b)];
  const judge = (): Compared => {
    const found = a.equals(b) ? [] : differingSectors(a, b, start);
    rooms.push(room);
    return { compared: length, differences: found };
  };
  const reading = allOf(reads);
  return reading === DONE ? Promise.resolve(judge()) : reading.then(judge);
}

function differingSectors(a: Buffer, b: Buffer, start: number): Difference[] {
  const found: Difference[] = [];
  for (let step = 0; step < a.length; step += STEP) {
    const stop = Math.min(a.length, step + STEP);
    if (a.compare(b, step, stop, step, stop) === 0) continue;
    for (let at = step; at < stop; at += SECTOR_BYTES) {
      const [here, there] = [a.subarray(at, at + SECTOR_BYTES), b.subarray(at, at + SECTOR_BYTES)];
      if (!here.equals(there)) add(found, start + at / SECTOR_BYTES, here, there);
    }
  }
  return found;
}

function add(found: Difference[], sector: number, a: Buffer, b: Buffer): void {
  let [bytes, first] = [0, -1];
  for (let index = 0; index < SECTOR_BYTES; index++) {
    if (a[index] === b[index]) continue;
    if (first < 0) first = sector * SECTOR_BYTES + index;
    bytes++;
  }
  const zero = isZero(b);
  const last = found.at(-1);
  if (last !== undefined && last.start + last.count === sector && last.zero === zero) {
    found[found.length - 1] = { ...last, count: last.count + 1, bytes: last.bytes + bytes };
  } else found.push({ start: sector, count: 1, zero, bytes, first });
}

// Carries out a plan: turns runs into as few reads of files as it can, in file order, several in flight.
// Cost follows runs: neighbours in a file become one read, however the guest orders them.
import { allocateRoom } from '../core/room.ts';
import { after, allOf, DONE } from '../core/settled.ts';
import type { Sectors } from '../core/units.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { DataOrigin, RunList } from './run-list.ts';
import { sectorRange, type SectorRange } from './sector-range.ts';
import type { SectorSource } from './sector-source.ts';

/** Beyond 1 MiB a single read gets slower, not faster. */
const LARGEST_READ = 1 << 20;
/** Reading this much that nobody asked for is cheaper than a second call. */
const GAP_WORTH_READING = 4096;
const READS_IN_FLIGHT = 8;
/** For what is read together and then taken apart: fresh memory for each costs more than reading. */
let spareRoom: Buffer | undefined;

/** Reads `range` of `source` by its map. `into` must hold exactly `range.count` sectors. */
export async function readMapped(
  source: Pick<SectorSource, 'map'>,
  range: SectorRange,
  into: Uint8Array,
): Promise<void> {
  assertFits(range, into);
  let done = 0;
  while (done < range.count) {
    const runs = await source.map(sectorRange(range.start + done, range.count - done));
    const covered = runs.end - runs.start;
    await readRuns(runs, into.subarray(done * SECTOR_BYTES, (done + covered) * SECTOR_BYTES));
    done += covered;
  }
}

/** Fills `into` with what `runs` say, from the start of the list. Absent runs are zeros here. */
export function readRuns(runs: RunList, into: Uint8Array): Promise<void> {
  if (runs.length === 1 && runs.isDataAt(0)) {
    return runs.originAt(0)!.read(into, runs.offsetAt(0), runs.sectorAt(0));
  }
  const data: number[] = [];
  for (let index = 0; index < runs.length; index++) {
    if (runs.isDataAt(index)) data.push(index);
    else into.fill(0, bytesInto(runs, runs.startAt(index)), bytesInto(runs, runs.endAt(index)));
  }
  const reads = data.length > 8 ? gather(runs, data) : data.map((index) => [index]);
  return inFlight(reads, (members) => carryOut(runs, members, into));
}

/** Fills `into` with the sectors of `range`, which `runs` cover; most small reads lie within one run. */
export function readWithin(runs: RunList, range: SectorRange, into: Uint8Array): Promise<void> {
  const index = runs.indexOf(range.start);
  if (runs.endAt(index) < range.start + range.count) return readRuns(runs.slice(range), into);
  const origin = runs.originAt(index);
  if (origin === undefined) {
    into.fill(0);
    return DONE;
  }
  const skipped = range.start - runs.startAt(index);
  const offset = runs.offsetAt(index) + (origin.compressed ? 0 : skipped * SECTOR_BYTES);
  return origin.read(into, offset, runs.sectorAt(index) + skipped);
}

/** Groups data runs that lie (nearly) one after the other in one file. */
function gather(runs: RunList, data: number[]): number[][] {
  const ranks = new Map<DataOrigin, number>();
  for (const index of data) {
    const origin = runs.originAt(index)!;
    if (!ranks.has(origin)) ranks.set(origin, ranks.size);
  }
  data.sort(
    (a, b) =>
      ranks.get(runs.originAt(a)!)! - ranks.get(runs.originAt(b)!)! || runs.offsetAt(a) - runs.offsetAt(b),
  );
  const groups: number[][] = [];
  let group: number[] = [];
  for (const index of data) {
    const first = group[0];
    if (first === undefined || !joins(runs, first, group[group.length - 1]!, index)) {
      group = [];
      groups.push(group);
    }
    group.push(index);
  }
  return groups;
}

function joins(runs: RunList, first: number, last: number, next: number): boolean {
  const origin = runs.originAt(next)!;
  if (origin !== runs.originAt(last) || origin.compressed) return false;
  const gap = runs.offsetAt(next) - fileEndOf(runs, last);
  return gap >= 0 && gap <= GAP_WORTH_READING && fileEndOf(runs, next) - runs.offsetAt(first) <= LARGEST_READ;
}

function carryOut(runs: RunList, members: readonly number[], into: Uint8Array): Promise<void> {
  const first = members[0]!;
  const origin = runs.originAt(first)!;
  if (members.length === 1) {
    return origin.read(targetOf(runs, first, into), runs.offsetAt(first), runs.sectorAt(first));
  }
  const from = runs.offsetAt(first);
  const room = spareRoom ?? allocateRoom(LARGEST_READ);
  spareRoom = undefined;
  const scratch = room.subarray(0, fileEndOf(runs, members[members.length - 1]!) - from);
  return after(origin.read(scratch, from, 0), () => {
    spareRoom = room;
    for (const index of members) {
      targetOf(runs, index, into).set(
        scratch.subarray(runs.offsetAt(index) - from, fileEndOf(runs, index) - from),
      );
    }
    return DONE;
  });
}

/**
 * Runs `work` over `items` in order, READS_IN_FLIGHT at a time once one has to be waited for; the first failure wins,
 * after all have ended.
 */
function inFlight<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let index = 0; index < items.length; index++) {
    const doing = work(items[index]!);
    if (doing === DONE) continue;
    return index === items.length - 1 ? doing : inLanes(items, index + 1, doing, work);
  }
  return DONE;
}

function inLanes<T>(
  items: readonly T[],
  from: number,
  begun: Promise<void>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = from;
  const lane = async (first: Promise<void>): Promise<void> => {
    await first;
    while (next < items.length) await work(items[next++]!);
  };
  const others = Math.min(READS_IN_FLIGHT - 1, items.length - from);
  return allOf([lane(begun), ...Array.from({ length: others }, () => lane(DONE))]);
}

function targetOf(runs: RunList, index: number, into: Uint8Array): Uint8Array {
  return into.subarray(bytesInto(runs, runs.startAt(index)), bytesInto(runs, runs.endAt(index)));
}

function bytesInto(runs: RunList, sector: number): number {
  return (sector - runs.start) * SECTOR_BYTES;
}

function fileEndOf(runs: RunList, index: number): number {
  return runs.offsetAt(index) + (runs.endAt(index) - runs.startAt(index)) * SECTOR_BYTES;
}

/** @throws RangeError unless `into` holds exactly the sectors of `range`. */
export function assertFits(range: SectorRange, into: Uint8Array): void {
  if (into.length !== range.count * SECTOR_BYTES) {
    throw new RangeError(`a buffer of ${into.length} bytes for ${range.count} sectors`);
  }
}

/** Every run of `range`, list by list, in bounded memory. */
export async function* walkRuns(source: SectorSource, range: SectorRange): AsyncGenerator<RunList> {
  const end = range.start + range.count;
  let at: number = range.start;
  while (at < end) {
    const runs = await source.map(sectorRange(at, end - at));
    yield runs;
    at = runs.end;
  }
}

/** The whole of a source, as a range. */
export function wholeOf(source: { readonly capacity: Sectors }): SectorRange {
  return sectorRange(0, source.capacity);
}

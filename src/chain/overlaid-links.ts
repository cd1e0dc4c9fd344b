// Links laid over one another, run by run: of any kinds, grain sizes and lengths.
import { absentBounds, overlay, overlayAll } from '../block/overlay.ts';
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';

/** One link, or several that answer together. */
export interface Layer {
  readonly source: Pick<SectorSource, 'capacity' | 'map'>;
  /** How many links lie above. */
  readonly depth: number;
}

/** Layers whose maps are asked for before they are laid under the ones above, in one pass. */
const LAID_TOGETHER = 16;
/** Of these, layers that are asked at once: each takes memory for the tables that it reads. */
const ASKED_AT_ONCE = 4;

/** What `layers` say of `range`, the uppermost first; covers a prefix of it. */
export async function mapLayers(layers: readonly Layer[], range: SectorRange): Promise<RunList> {
  let runs = await layers[0]!.source.map(range);
  for (let next = 1; next < layers.length; next += LAID_TOGETHER) {
    const absent = absentBounds(runs);
    if (absent === undefined) break;
    runs = await layBelow(runs, absent, layers.slice(next, next + LAID_TOGETHER));
  }
  return runs;
}

/**
 * Several are laid under what is known in one pass: it would be copied once for each. Damage in a link that need not have
 * been asked must not matter: then one by one.
 */
async function layBelow(
  upper: RunList,
  absent: { start: number; end: number },
  layers: readonly Layer[],
): Promise<RunList> {
  const lists = [upper];
  for (let asked = 0; asked < layers.length; asked += ASKED_AT_ONCE) {
    const some = layers.slice(asked, asked + ASKED_AT_ONCE);
    const answers = await Promise.allSettled(
      some.map(({ source }) => mapBelow(source, absent.start, absent.end)),
    );
    for (const answer of answers) {
      if (answer.status === 'rejected') return layOneByOne(upper, layers);
      lists.push(answer.value);
    }
  }
  return overlayAll(lists, [0, ...layers.map(({ depth }) => depth)]);
}

async function layOneByOne(upper: RunList, layers: readonly Layer[]): Promise<RunList> {
  let runs = upper;
  for (const { source, depth } of layers) {
    const absent = absentBounds(runs);
    if (absent === undefined) break;
    const lower = await mapBelow(source, absent.start, absent.end).catch(async (error: unknown) => {
      if (!(error instanceof VmdkError)) throw error;
      return mapStretches(source, runs, absent);
    });
    runs = overlay(runs, lower, depth);
  }
  return runs;
}

/** What `source` says where `upper` leaves it the answer, asked stretch by stretch: damage elsewhere does not matter. */
async function mapStretches(
  source: Layer['source'],
  upper: RunList,
  { start, end }: { start: number; end: number },
): Promise<RunList> {
  const lower = new RunList(start);
  for (let index = upper.indexOf(start); lower.end < end; index++) {
    const stop = Math.min(end, upper.endAt(index));
    if (!upper.isAbsentAt(index)) lower.addAbsent(stop - lower.end);
    else lower.addAll(await mapBelow(source, lower.end, stop));
    // A long stretch is answered in part: so is all of it then.
    if (lower.end < stop) break;
  }
  return lower;
}

/** The runs of a disk below in [start, end); past its end there are zeros (a smaller parent, accepted by the caller). */
async function mapBelow(source: Layer['source'], start: number, end: number): Promise<RunList> {
  if (start >= source.capacity) return zerosFrom(start, end - start);
  const within = Math.min(end, source.capacity);
  const runs = await source.map(sectorRange(start, within - start));
  if (runs.end === within && within < end) runs.addZero(end - within);
  return runs;
}

/** Zeros from sector `start` on. */
export function zerosFrom(start: number, count: number): RunList {
  const zeros = new RunList(start);
  zeros.addZero(count);
  return zeros;
}

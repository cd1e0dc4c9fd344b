// Metadata contexts: what a client may ask of a range besides its bytes. `base:allocation` tells holes and zeros,
// `qemu:allocation-depth` which link of the chain answers (1 is the top, 0 nobody), as QEMU's server counts.
import { sectorRange } from '../block/sector-range.ts';
import type { RunList } from '../block/run-list.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { PlannedSource } from '../block/sector-source.ts';
import { LONGEST_STRING, STATE } from './nbd-protocol.ts';
import type { StatusExtent } from './nbd-messages.ts';

export interface MetaContext {
  readonly id: number;
  readonly name: string;
  readonly statusAt: (runs: RunList, index: number) => number;
}

export const META_CONTEXTS: readonly MetaContext[] = [
  {
    id: 1,
    name: 'base:allocation',
    statusAt: (runs, index) => (runs.isDataAt(index) ? 0 : STATE.hole | STATE.zero),
  },
  {
    id: 2,
    name: 'qemu:allocation-depth',
    statusAt: (runs, index) => (runs.isAbsentAt(index) ? 0 : runs.depthAt(index) + 1),
  },
];

/** A reply tells at most so many extents of a context: the client asks on from there. */
const MOST_EXTENTS = 16_384;

export interface ContextQuery {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** The data of NBD_OPT_LIST_META_CONTEXT and SET: undefined when it is not well-formed. */
export function parseContextQuery(data: Buffer): ContextQuery | undefined {
  let at = 0;
  const number = (): number | undefined => {
    if (at + 4 > data.length) return undefined;
    at += 4;
    return data.readUInt32BE(at - 4);
  };
  const text = (): string | undefined => {
    const length = number();
    if (length === undefined || length > LONGEST_STRING || at + length > data.length) return undefined;
    at += length;
    return data.toString('utf8', at - length, at);
  };
  const exportName = text();
  const count = number();
  // Each query takes at least its length.
  if (exportName === undefined || count === undefined || count > data.length / 4) return undefined;
  const queries: string[] = [];
  for (let index = 0; index < count; index++) {
    const query = text();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return at === data.length ? { exportName, queries } : undefined;
}

/** Contexts that a list asks for: all without a query, those of a namespace by `base:`. */
export function listedContexts(queries: readonly string[]): MetaContext[] {
  if (queries.length === 0) return [...META_CONTEXTS];
  return META_CONTEXTS.filter(({ name }) =>
    queries.some((query) => query === name || (query.endsWith(':') && name.startsWith(query))),
  );
}

/** Contexts that a client chooses: by their whole names only. */
export function chosenContexts(queries: readonly string[]): MetaContext[] {
  return META_CONTEXTS.filter(({ name }) => queries.includes(name));
}

/**
 * What is known of `length` bytes from `offset` on, for each context. Tells a beginning of the range where the whole
 * would be long; with `one`, only the first stretch.
 */
export async function blockStatus(
  source: PlannedSource,
  offset: number,
  length: number,
  contexts: readonly MetaContext[],
  one: boolean,
): Promise<StatusExtent[][]> {
  const end = offset + length;
  const last = Math.ceil(end / SECTOR_BYTES);
  const told = contexts.map((): StatusExtent[] => []);
  let sector = Math.floor(offset / SECTOR_BYTES);
  while (sector < last) {
    const runs = await source.plan(sectorRange(sector, last - sector));
    for (const [index, context] of contexts.entries()) addExtents(told[index]!, context, runs, offset, end);
    sector = runs.end;
    if (told.some((extents) => extents.length >= MOST_EXTENTS)) break;
    if (one && told.every((extents) => extents.length > 1)) break;
  }
  return told.map((extents) => extents.slice(0, one ? 1 : MOST_EXTENTS));
}

function addExtents(
  extents: StatusExtent[],
  { statusAt }: MetaContext,
  runs: RunList,
  offset: number,
  end: number,
): void {
  for (let index = 0; index < runs.length; index++) {
    const from = Math.max(offset, runs.startAt(index) * SECTOR_BYTES);
    const to = Math.min(end, runs.endAt(index) * SECTOR_BYTES);
    const status = statusAt(runs, index);
    const before = extents.at(-1);
    if (before?.status === status) before.length += to - from;
    else extents.push({ length: to - from, status });
  }
}

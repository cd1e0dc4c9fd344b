// What lies in the files of a chain and is no part of what it reads as: space that nothing refers to, bytes behind the
// end, grains of a delta that say what the disk below says already, remains of text. Rule: all of it is told with its
// place and its hash, and can be read; nothing is judged to be meaningless but zeros.
import { createHash } from 'node:crypto';
import { sectorRange } from '../block/sector-range.ts';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { isZero } from '../block/zero-scan.ts';
import { MergedSource, type Chain } from '../chain/chain.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { checkLink } from '../disk/check-link.ts';
import type { Disk } from '../disk/disk.ts';
import { openContext, type OpenContext, type OpenOptions } from '../disk/open-options.ts';
import { showText } from '../format/plain-text.ts';
import type { FileStore } from '../storage/file-store.ts';

/**
 * `unreferenced`: space within an extent that no table names; `behind`: bytes past what a flat extent needs;
 * `same-as-below`: grains of a delta that read as the disk below does; `text`: remains in a descriptor.
 */
export type SlackKind = 'unreferenced' | 'behind' | 'same-as-below' | 'text';

export interface SlackItem {
  readonly kind: SlackKind;
  /** Of the link; 0 is the leaf. */
  readonly depth: number;
  readonly path: string;
  /** Byte in the file; of a compressed grain, where it begins. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Of `same-as-below`: the sector of the disk. */
  readonly sector?: number;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  /** What it seems to be. */
  readonly note?: string;
}

export interface SlackReport {
  /** Bytes of unreferenced space that are zeros: not listed. */
  readonly zeroBytes: number;
  /** Files whose tables are damaged: what nothing seems to refer to there may be in use. */
  readonly damaged: readonly string[];
}

export interface SlackOptions extends OpenOptions, TaskOptions {
  readonly fs: FileStore;
  /** Told of each item in turn. `contents` gives its bytes, in pieces, while it is awaited. */
  readonly onItem: (item: SlackItem, contents: () => AsyncIterable<Uint8Array>) => Promise<void>;
}

const PIECE = 1 << 20;
/** What a grain is where extents have none. */
const FLAT_GRAIN = 128;
const DESCRIPTOR_MARK = Buffer.from('# Disk DescriptorFile');
/** Comments that every descriptor has. */
const USUAL =
  /^#\s*(?:Disk DescriptorFile|Extent description|The Disk Data Base|DDB|Change Tracking File)?\s*$/i;

/** Goes through every link, leaf first. */
export async function findSlack(chain: Chain, options: SlackOptions): Promise<SlackReport> {
  let zeroBytes = 0;
  const damaged: string[] = [];
  const seen = new Set<string>();
  const context = openContext({ ...options, onFinding: undefined });
  for (const [depth, link] of chain.links.entries()) {
    throwIfAborted(options);
    const found = await unusedSpace(context, link, options);
    if (found.damaged) damaged.push(link.path);
    for (const { path, offset, length, kind } of found.gaps) {
      if (seen.has(`${path}\0${offset}`)) continue;
      seen.add(`${path}\0${offset}`);
      const contents = (): AsyncIterable<Uint8Array> => fileBytes(options.fs, path, offset, length, options);
      const { sha256, zero, note } = await lookAt(contents());
      if (zero) zeroBytes += length;
      else await options.onItem({ kind, depth, path, offset, length, sha256, ...note }, contents);
    }
    for (const remains of textRemains(link)) {
      const { bytes, offset, note } = remains;
      const contents = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes;
      };
      const { sha256, zero } = await lookAt(contents());
      const item = {
        kind: 'text',
        depth,
        path: link.path,
        offset,
        length: bytes.length,
        sha256,
        note,
      } as const;
      if (zero) zeroBytes += bytes.length;
      else await options.onItem(item, contents);
    }
    if (depth + 1 < chain.links.length) await findSame(chain, depth, options);
  }
  return { zeroBytes, damaged };
}

interface Gap {
  readonly kind: 'unreferenced' | 'behind';
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

async function unusedSpace(
  context: OpenContext,
  link: Disk,
  options: SlackOptions,
): Promise<{ gaps: Gap[]; damaged: boolean }> {
  const gaps: Gap[] = [];
  const place = await context.store.resolve(link.path);
  const { log } = await checkLink(context, place, {
    deep: false,
    task: { signal: options.signal },
    onUnused: (path, offset, length) => gaps.push({ kind: 'unreferenced', path, offset, length }),
  });
  const flat = new Map<string, number>();
  for (const { extent, line } of link.extents) {
    if (extent.kind !== 'flat' || extent.path === undefined) continue;
    const end = (line.offset + line.sectors) * SECTOR_BYTES;
    flat.set(extent.path, Math.max(flat.get(extent.path) ?? 0, end));
  }
  for (const [path, end] of flat) {
    const { size } = await context.store.resolve(path);
    if (size > end) gaps.push({ kind: 'behind', path, offset: end, length: size - end });
  }
  return { gaps, damaged: log.errors > 0 };
}

/** Comments that somebody added, and what stands behind the end of the text. */
function textRemains(link: Disk): { bytes: Uint8Array; offset: number; note: string }[] {
  const { lines, tail } = link.descriptor;
  const start = link.embedded ? SECTOR_BYTES : 0;
  const remains: { bytes: Uint8Array; offset: number; note: string }[] = [];
  let at = 0;
  for (const { raw } of lines) {
    const bytes = Buffer.from(raw);
    const text = bytes.toString('latin1').trim();
    if (text.startsWith('#') && !USUAL.test(text)) {
      remains.push({ bytes, offset: start + at, note: `comment: ${showText(text)}` });
    }
    at += bytes.length;
  }
  if (tail.length > 0) {
    const old = Buffer.from(tail).includes(DESCRIPTOR_MARK);
    const note = old ? 'an older descriptor, behind the end of the text' : 'behind the end of the text';
    remains.push({ bytes: tail, offset: start + at, note });
  }
  return remains;
}

async function findSame(chain: Chain, depth: number, options: SlackOptions): Promise<void> {
  const link = chain.links[depth]!;
  const below = new MergedSource(chain.links.slice(depth + 1));
  const grain = Math.max(...link.extents.map(({ extent }) => extent.grainSize), 1);
  const step = grain === 1 ? FLAT_GRAIN : grain;
  const [own, under] = [Buffer.alloc(step * SECTOR_BYTES), Buffer.alloc(step * SECTOR_BYTES)];
  for await (const runs of walkRuns(link, wholeOf(link))) {
    for (let index = 0; index < runs.length; index++) {
      const origin = runs.originAt(index);
      if (origin === undefined || origin.lost !== undefined) continue;
      const [from, to] = [runs.startAt(index), runs.endAt(index)];
      for (let at = from; at < to; at += step - (at % step)) {
        throwIfAborted(options);
        const count = Math.min(to, at + step - (at % step), below.capacity) - at;
        if (count <= 0) break;
        const range = sectorRange(at, count);
        const [mine, theirs] = [
          own.subarray(0, count * SECTOR_BYTES),
          under.subarray(0, count * SECTOR_BYTES),
        ];
        await Promise.all([link.read(range, mine), below.read(range, theirs)]);
        if (!mine.equals(theirs)) continue;
        const offset = runs.offsetAt(index) + (origin.compressed ? 0 : (at - from) * SECTOR_BYTES);
        const contents = async function* (): AsyncGenerator<Uint8Array> {
          yield mine;
        };
        const sha256 = createHash('sha256').update(mine).digest('hex');
        const zeros = isZero(mine) ? { note: 'zeros over zeros' } : {};
        const place = { depth, path: origin.path, offset, length: mine.length, sector: at, sha256 };
        await options.onItem({ kind: 'same-as-below', ...place, ...zeros }, contents);
      }
    }
  }
}

async function lookAt(
  contents: AsyncIterable<Uint8Array>,
): Promise<{ sha256: string; zero: boolean; note: { note?: string } }> {
  const hash = createHash('sha256');
  let [zero, descriptor] = [true, false];
  for await (const piece of contents) {
    hash.update(piece);
    zero &&= isZero(piece);
    descriptor ||= Buffer.from(piece.buffer, piece.byteOffset, piece.length).includes(DESCRIPTOR_MARK);
  }
  return { sha256: hash.digest('hex'), zero, note: descriptor ? { note: 'holds a descriptor' } : {} };
}

async function* fileBytes(
  store: FileStore,
  path: string,
  offset: number,
  length: number,
  task: TaskOptions,
): AsyncGenerator<Uint8Array> {
  const file = await store.open(path, 'read');
  try {
    const room = Buffer.alloc(Math.min(PIECE, length));
    for (let at = 0; at < length; at += room.length) {
      throwIfAborted(task);
      const part = room.subarray(0, Math.min(room.length, length - at));
      await file.readExactly(part, offset + at);
      yield part;
    }
  } finally {
    await file.close();
  }
}

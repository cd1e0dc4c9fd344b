// The fingerprint of a guarded disk, in a file beside it: one line of JSON, a line for each chunk, and a last line that
// proves that all is there. Rule: written and read as a stream; a file that is damaged or of others proves nothing.
import { createHash } from 'node:crypto';
import { VmdkError } from '../core/errors.ts';
import type { FileStore, RandomAccessFile } from '../storage/file-store.ts';
import type { ChunkDigest } from './guard-digest.ts';

const SCHEMA = 'vmdkit-fingerprint/v1';
const BLOCK_BYTES = 64 * 1024;
const MOST_HEADER = 1 << 20;
const MOST_LINE = 256;
const CHUNK_LINE = /^(\d{1,15}) ([0-9a-f]{64}) ([0-9a-f]{8,128})$/;

export interface GuardHeader {
  /** File name of the disk. */
  readonly disk: string;
  readonly recorded: string;
  readonly cid: number;
  readonly longContentId?: string;
  /** Sectors. */
  readonly capacity: number;
  readonly chunkSectors: number;
  readonly pieceSectors: number;
  /** Permission bits that its files had, by name. */
  readonly modes: Readonly<Record<string, number>>;
}

export interface ReadGuard {
  readonly header: GuardHeader;
  /** To be read to its end: only then it is known that the file is whole. @throws VmdkError `fingerprint-damaged`. */
  chunks(): AsyncGenerator<ChunkDigest>;
  /** Of the layout of the disk; known after `chunks` has ended. */
  mapDigest(): string;
  close(): Promise<void>;
}

/** `/ds/golden/golden.vmdk` → `/ds/golden/golden.vmdk.guard`. */
export function guardPathOf(disk: string): string {
  return `${disk}.guard`;
}

/** @throws VmdkError `disk-guarded` (refused) for a disk that somebody set `guard` on. */
export async function assertNotGuarded(store: FileStore, disk: string): Promise<void> {
  const { path } = await store.resolve(disk);
  const found = guardPathOf(path);
  if (!(await store.exists(found))) return;
  throw new VmdkError('refused', 'disk-guarded', 'the disk is guarded against being written', {
    path,
    found,
    expected: 'no fingerprint beside it',
    hint: 'Make a delta of it and work there, or give it free with vmdkit guard DISK --release.',
  });
}

/** Writes a new file at `path`. */
export async function writeGuard(
  store: FileStore,
  path: string,
  header: GuardHeader,
  { chunks, mapDigest }: { chunks: AsyncIterable<ChunkDigest>; mapDigest: () => string },
): Promise<void> {
  const file = await store.create(path);
  try {
    const whole = createHash('sha256');
    let [at, text, count] = [0, `${JSON.stringify({ schema: SCHEMA, ...header })}\n`, 0];
    const put = async (): Promise<void> => {
      const data = Buffer.from(text);
      whole.update(data);
      await file.write(data, at);
      [at, text] = [at + data.length, ''];
    };
    for await (const { chunk, digest, pieces } of chunks) {
      text += `${chunk} ${digest} ${pieces}\n`;
      count++;
      if (text.length >= BLOCK_BYTES) await put();
    }
    text += `map ${mapDigest()}\n`;
    await put();
    await file.write(Buffer.from(`end ${count} ${whole.digest('hex')}\n`), at);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** @throws VmdkError `not-guarded` (missing); `fingerprint-damaged`. */
export async function openGuard(store: FileStore, disk: string): Promise<ReadGuard> {
  const path = guardPathOf(disk);
  if (!(await store.exists(path))) {
    throw new VmdkError(
      'missing',
      'not-guarded',
      'this disk is not guarded: no fingerprint of it was recorded',
      {
        path: disk,
        expected: path,
        hint: 'Record one with vmdkit guard DISK --set, while the disk is as it should be.',
      },
    );
  }
  const place = await store.resolve(path);
  if (place.path !== path || place.kind !== 'file') throw damaged(path, 'a link, or no file');
  const file = await store.open(path, 'read');
  try {
    const lines = linesOf(file, path);
    const first = await lines.next();
    const header = first.done === true ? undefined : parseHeader(first.value.text);
    if (header === undefined) throw damaged(path, 'another first line');
    const state = { map: '' };
    return {
      header,
      chunks: () => readChunks(lines, first.value!, path, state),
      mapDigest: () => state.map,
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface Line {
  readonly text: string;
  readonly raw: Buffer;
}

async function* readChunks(
  lines: AsyncGenerator<Line>,
  first: Line,
  path: string,
  state: { map: string },
): AsyncGenerator<ChunkDigest> {
  const whole = createHash('sha256').update(first.raw);
  let [last, count] = [-1, 0];
  for await (const { text, raw } of lines) {
    const [, chunk, digest, pieces] = CHUNK_LINE.exec(text) ?? [];
    if (chunk !== undefined) {
      if (Number(chunk) <= last || state.map !== '') throw damaged(path, 'chunks that are out of order');
      last = Number(chunk);
      count++;
      whole.update(raw);
      yield { chunk: last, digest: digest!, pieces: pieces! };
      continue;
    }
    const [, map] = /^map ([0-9a-f]{64})$/.exec(text) ?? [];
    if (map !== undefined && state.map === '') {
      state.map = map;
      whole.update(raw);
      continue;
    }
    if (text === `end ${count} ${whole.digest('hex')}`) return;
    throw damaged(path, 'a line that does not belong there');
  }
  throw damaged(path, 'no last line');
}

async function* linesOf(file: RandomAccessFile, path: string): AsyncGenerator<Line> {
  const size = await file.size();
  let [rest, limit] = [Buffer.alloc(0), MOST_HEADER];
  for (let at = 0; at < size; at += BLOCK_BYTES) {
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, size - at));
    await file.readExactly(block, at);
    rest = Buffer.concat([rest, block]);
    let start = 0;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
      const raw = rest.subarray(start, end + 1);
      yield { text: raw.subarray(0, -1).toString(), raw };
      [start, limit] = [end + 1, MOST_LINE];
    }
    rest = rest.subarray(start);
    if (rest.length > limit) throw damaged(path, 'a line without an end');
  }
  if (rest.length > 0) throw damaged(path, 'an unfinished last line');
}

function parseHeader(text: string): GuardHeader | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { schema, disk, recorded, cid, longContentId, capacity, chunkSectors, pieceSectors, modes } =
    value as Record<string, unknown>;
  const isCount = (number: unknown): number is number =>
    Number.isSafeInteger(number) && (number as number) >= 0;
  if (schema !== SCHEMA || typeof disk !== 'string' || typeof recorded !== 'string') return undefined;
  if (!isCount(cid) || cid > 0xffffffff || !isCount(capacity)) return undefined;
  if (!isCount(chunkSectors) || !isCount(pieceSectors)) return undefined;
  if (longContentId !== undefined && !isLongId(longContentId)) return undefined;
  const bits = Object.entries(modes ?? {}).filter(([, mode]) => isCount(mode) && mode <= 0o7777);
  return {
    disk,
    recorded,
    cid,
    ...(longContentId === undefined ? {} : { longContentId }),
    capacity,
    chunkSectors,
    pieceSectors,
    modes: Object.fromEntries(bits) as Record<string, number>,
  };
}

function isLongId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/i.test(value);
}

function damaged(path: string, found: string): VmdkError {
  return new VmdkError(
    'corrupt',
    'fingerprint-damaged',
    'this fingerprint proves nothing: it is not as it was written',
    {
      path,
      found,
      expected: `a whole ${SCHEMA}`,
      hint: 'If the disk is known to be right, record it anew with vmdkit guard DISK --set --force.',
    },
  );
}

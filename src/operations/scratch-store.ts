// Files that can be changed without being changed: writes are kept in memory over what a store holds, read back as if
// they were done, and told at the end as exact edits. Rule: the store beneath is only ever read.
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { FileStore, RandomAccessFile, WritableFile } from '../storage/file-store.ts';

/** Bytes in the place of others. At the end of a file one of the two may be shorter: the file grows or shrinks. */
export interface BytePatch {
  /** Byte offset. */
  readonly at: number;
  readonly old: Uint8Array;
  readonly data: Uint8Array;
}

export interface FileEdit {
  /** Real path. */
  readonly path: string;
  readonly identity: string;
  readonly sizeBefore: number;
  readonly sizeAfter: number;
  /** In ascending order, apart from each other. */
  readonly patches: readonly BytePatch[];
}

export interface ScratchStore extends FileStore {
  /** Grows with every write that changed something. */
  readonly changes: number;
  /** What was done so far, to go back to. */
  mark(): unknown;
  /** Goes back to what `mark` gave. */
  rollBack(mark: unknown): void;
  /** What changed, files in the order of their first change. @throws VmdkError `repair-too-large`. */
  edits(): Promise<FileEdit[]>;
}

/** 64 MiB: beyond that a disk is not mended but copied. */
const MOST_SECTORS = 131_072;

/** What was written to one file. Sectors are whole; behind the end of the file they are zero. */
interface Scratch {
  readonly path: string;
  readonly identity: string;
  readonly sizeBefore: number;
  size: number;
  sectors: Map<number, Uint8Array>;
}

export function createScratchStore(store: FileStore): ScratchStore {
  let files = new Map<string, Scratch>();
  let changes = 0;
  const change = (scratch: Scratch): void => {
    if (scratch.sectors.size > MOST_SECTORS) throw tooLarge(scratch.path);
    files.set(scratch.identity, scratch);
    changes++;
  };
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string): Promise<WritableFile> {
    const place = await store.resolve(path);
    const file = await store.open(path, 'read');
    const size = await file.size();
    const none: Scratch = {
      path: place.path,
      identity: place.identity,
      sizeBefore: size,
      size,
      sectors: new Map(),
    };
    return scratchFile(file, () => files.get(place.identity) ?? none, change);
  }
  const refuse = (): Promise<never> => Promise.reject(new TypeError('a scratch store only changes bytes'));
  return {
    get changes() {
      return changes;
    },
    mark: () => copyOf(files),
    rollBack: (mark) => void (files = copyOf(mark as typeof files)),
    edits: () => Promise.all([...files.values()].map((file) => editOf(store, file))).then(dropIdle),
    open,
    create: refuse,
    replace: refuse,
    rename: refuse,
    remove: refuse,
    makeFolder: refuse,
    removeFolder: refuse,
    syncFolder: refuse,
    exists: (path) => store.exists(path),
    list: (folder) => store.list(folder),
    resolve: async (path) => {
      const place = await store.resolve(path);
      return { ...place, size: files.get(place.identity)?.size ?? place.size };
    },
  };
}

function copyOf(files: ReadonlyMap<string, Scratch>): Map<string, Scratch> {
  return new Map([...files].map(([key, each]) => [key, { ...each, sectors: new Map(each.sectors) }]));
}

function scratchFile(
  file: RandomAccessFile,
  now: () => Scratch,
  change: (changed: Scratch) => void,
): WritableFile {
  const readSector = async (number: number): Promise<Uint8Array> => {
    const bytes = Buffer.alloc(SECTOR_BYTES);
    const own = now().sectors.get(number);
    if (own !== undefined) bytes.set(own);
    else await readOriginal(file, bytes, number * SECTOR_BYTES, now().sizeBefore);
    return bytes;
  };
  return {
    path: file.path,
    size: async () => now().size,
    readExactly: async (into, at) => {
      const { size, sectors, sizeBefore } = now();
      if (at + into.length > size) {
        throw new VmdkError('corrupt', 'file-too-short', 'the file ends too early', {
          path: file.path,
          offset: at,
          found: `${size} bytes`,
          expected: `${at + into.length} bytes`,
        });
      }
      if (sectors.size === 0 && size === sizeBefore) return file.readExactly(into, at);
      await readOriginal(file, into, at, sizeBefore);
      const last = Math.floor((at + into.length - 1) / SECTOR_BYTES);
      const touched =
        sectors.size < 64 ? [...sectors.keys()] : numbersFrom(Math.floor(at / SECTOR_BYTES), last);
      for (const number of touched) overlay(into, at, number, sectors.get(number));
    },
    write: async (data, at) => {
      const scratch = now();
      const { sectors } = scratch;
      let changed = at + data.length > scratch.size;
      const last = Math.floor((at + data.length - 1) / SECTOR_BYTES);
      for (const number of numbersFrom(Math.floor(at / SECTOR_BYTES), last)) {
        const old = await readSector(number);
        const fresh = Buffer.from(old);
        const start = number * SECTOR_BYTES;
        const from = Math.max(at, start);
        const to = Math.min(at + data.length, start + SECTOR_BYTES);
        fresh.set(data.subarray(from - at, to - at), from - start);
        if (fresh.equals(old)) continue;
        sectors.set(number, fresh);
        changed = true;
      }
      scratch.size = Math.max(scratch.size, at + data.length);
      if (changed) change(scratch);
    },
    resize: async (size) => {
      const scratch = now();
      if (size === scratch.size) return;
      for (const [number, bytes] of scratch.sectors) {
        const end = size - number * SECTOR_BYTES;
        if (end <= 0) scratch.sectors.delete(number);
        else if (end < SECTOR_BYTES) {
          const kept = Buffer.from(bytes).fill(0, end);
          scratch.sectors.set(number, kept);
        }
      }
      scratch.size = size;
      change(scratch);
    },
    sync: async () => undefined,
    close: () => file.close(),
  };
}

function* numbersFrom(first: number, last: number): Generator<number> {
  for (let number = first; number <= last; number++) yield number;
}

/** What the file held at first; zeros behind its end. */
async function readOriginal(
  file: RandomAccessFile,
  into: Uint8Array,
  at: number,
  size: number,
): Promise<void> {
  const there = Math.max(0, Math.min(into.length, size - at));
  if (there > 0) await file.readExactly(into.subarray(0, there), at);
  into.fill(0, there);
}

function overlay(into: Uint8Array, at: number, number: number, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) return;
  const start = number * SECTOR_BYTES;
  const from = Math.max(at, start);
  const to = Math.min(at + into.length, start + SECTOR_BYTES);
  if (from < to) into.set(bytes.subarray(from - start, to - start), from - at);
}

async function editOf(store: FileStore, scratch: Scratch): Promise<FileEdit> {
  const { path, identity, sizeBefore, size, sectors } = scratch;
  const file = await store.open(path, 'read');
  try {
    const patches: BytePatch[] = [];
    for (const { first, count } of runsOf([...sectors.keys()].sort((a, b) => a - b))) {
      const start = first * SECTOR_BYTES;
      const end = Math.min(size, start + count * SECTOR_BYTES);
      if (end <= start) continue;
      const data = Buffer.concat([...numbersFrom(first, first + count - 1)].map((at) => sectors.get(at)!));
      const old = Buffer.alloc(Math.max(0, Math.min(end, sizeBefore) - start));
      await file.readExactly(old, start);
      const patch = trimmed(start, old, data.subarray(0, end - start));
      if (patch !== undefined) patches.push(patch);
    }
    if (size < sizeBefore) {
      if (sizeBefore - size > MOST_SECTORS * SECTOR_BYTES) throw tooLarge(path);
      const old = Buffer.alloc(sizeBefore - size);
      await file.readExactly(old, size);
      patches.push({ at: size, old, data: Buffer.alloc(0) });
    }
    return { path, identity, sizeBefore, sizeAfter: size, patches };
  } finally {
    await file.close();
  }
}

function runsOf(numbers: readonly number[]): { first: number; count: number }[] {
  const runs: { first: number; count: number }[] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === number) last.count++;
    else runs.push({ first: number, count: 1 });
  }
  return runs;
}

/** Without what is equal at both ends. */
function trimmed(at: number, old: Buffer, data: Buffer): BytePatch | undefined {
  let from = 0;
  while (from < old.length && from < data.length && old[from] === data[from]) from++;
  if (from === data.length && from === old.length) return undefined;
  if (old.length !== data.length)
    return { at: at + from, old: old.subarray(from), data: data.subarray(from) };
  let to = data.length;
  while (old[to - 1] === data[to - 1]) to--;
  return { at: at + from, old: old.subarray(from, to), data: data.subarray(from, to) };
}

function dropIdle(edits: readonly FileEdit[]): FileEdit[] {
  return edits.filter((edit) => edit.patches.length > 0 || edit.sizeAfter !== edit.sizeBefore);
}

function tooLarge(path: string): VmdkError {
  return new VmdkError('unsupported', 'repair-too-large', 'there is too much to mend in place', {
    path,
    expected: `at most ${MOST_SECTORS * SECTOR_BYTES} bytes of changes`,
    hint: 'Copy what can be read to a new disk instead: vmdkit convert.',
  });
}

// What a medium holds under the assumptions of crash-store.ts: what is durable, and what is on its way there. Files
// and folders are nodes, names are slots in a folder, so that a rename takes all that is below along.
import { posix } from 'node:path';
import type { FileStore, WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { PagedBytes } from '../../src/storage/paged-bytes.ts';

const SECTOR_BYTES = 512;
const COPY_BYTES = 65_536;
/** The node of `/` in a memory store, whose first entry it is. */
const ROOT = 'memory:1';

export interface Slot {
  /** Node of the folder. */
  readonly folder: string;
  readonly name: string;
}

/** What is done to a file's bytes: a write, or a new length when there is no data. */
interface FileChange {
  readonly at: number;
  readonly data: Uint8Array | undefined;
  complete: boolean;
  durable: boolean;
}

interface NameChange {
  /** Slots that go empty, and the slot that comes to hold `node`. */
  readonly empties: Slot | undefined;
  readonly fills: Slot | undefined;
  readonly node: string | undefined;
  complete: boolean;
  /** Folders whose sync is still needed; durable when empty. */
  readonly unsynced: Set<string>;
}

interface FileNode {
  readonly durable: PagedBytes;
  /** How many changes the durable bytes hold. */
  folded: number;
  pending: FileChange[];
}

/** Decides the fate of one unsynced change: a number in [0, 1). */
type Dice = () => number;
type Fate = string;

/** A file or folder after a crash, with the fate of each change of its bytes that was pending. */
interface Survivor {
  readonly path: string;
  readonly node: string;
  /** Undefined for a folder. */
  readonly file: FileNode | undefined;
  readonly fates: readonly Fate[] | undefined;
}

export class CrashImage {
  readonly #files = new Map<string, FileNode>();
  readonly #folders = new Set<string>([ROOT]);
  #names: NameChange[] = [];

  write(node: string, data: Uint8Array, at: number): () => void {
    return this.#change(node, { at, data, complete: false, durable: false });
  }

  resize(node: string, size: number): () => void {
    return this.#change(node, { at: size, data: undefined, complete: false, durable: false });
  }

  /** Completing it makes durable what was complete when it began. */
  sync(node: string): () => void {
    const file = this.#file(node);
    const covered = file.pending.filter(({ complete }) => complete);
    return () => {
      for (const change of covered) change.durable = true;
      fold(file);
    };
  }

  link(slot: Slot, node: string, isFolder: boolean): () => void {
    if (isFolder) this.#folders.add(node);
    else this.#file(node);
    return this.#rename({
      empties: undefined,
      fills: slot,
      node,
      complete: false,
      unsynced: new Set([slot.folder]),
    });
  }

  unlink(slot: Slot): () => void {
    return this.#rename({
      empties: slot,
      fills: undefined,
      node: undefined,
      complete: false,
      unsynced: new Set([slot.folder]),
    });
  }

  move(from: Slot, to: Slot, node: string): () => void {
    const unsynced = new Set([from.folder, to.folder]);
    return this.#rename({ empties: from, fills: to, node, complete: false, unsynced });
  }

  syncFolder(node: string): () => void {
    const covered = this.#names.filter(({ complete }) => complete);
    return () => {
      for (const change of covered) change.unsynced.delete(node);
    };
  }

  settle(): void {
    for (const file of this.#files.values()) {
      for (const change of file.pending) change.durable = true;
      fold(file);
    }
    for (const { unsynced } of this.#names) unsynced.clear();
  }

  /** Each state once: where little was under way, there are fewer than `count`. `seen`: see crash-store.ts. */
  async *states(seed: number, count: number, seen: Set<string>): AsyncGenerator<FileStore, void> {
    const random = diceOf(seed);
    for (let i = 0; i < count; i++) {
      const survivors = this.#survivors(i === 0 ? () => 0 : i === 1 ? () => 0.999 : random);
      const key = survivors.map(nameOf).join('\n');
      if (seen.has(key)) continue;
      seen.add(key);
      yield await storeOf(survivors);
    }
  }

  #survivors(dice: Dice): Survivor[] {
    const names = new Map<string, Map<string, string>>([...this.#folders].map((node) => [node, new Map()]));
    for (const { empties, fills, node, unsynced } of this.#names) {
      if (unsynced.size > 0 && dice() < 0.5) continue;
      if (empties !== undefined) names.get(empties.folder)?.delete(empties.name);
      if (fills !== undefined && node !== undefined) names.get(fills.folder)?.set(fills.name, node);
    }
    const found: Survivor[] = [];
    const walk = (folder: string, path: string): void => {
      for (const [name, node] of names.get(folder) ?? []) {
        const below = posix.join(path, name);
        const file = this.#files.get(node);
        const fates = file?.pending.map((change) => fateOf(change, dice));
        found.push({ path: below, node, file, fates });
        if (file === undefined) walk(node, below);
      }
    };
    walk(ROOT, '/');
    return found;
  }

  #file(node: string): FileNode {
    const known = this.#files.get(node);
    if (known !== undefined) return known;
    const file = { durable: new PagedBytes(), folded: 0, pending: [] };
    this.#files.set(node, file);
    return file;
  }

  #change(node: string, change: FileChange): () => void {
    this.#file(node).pending.push(change);
    return () => void (change.complete = true);
  }

  #rename(change: NameChange): () => void {
    this.#names.push(change);
    return () => void (change.complete = true);
  }
}

/** The file and the changes that made it what it is, by their number: `/vm/a memory:3 7 8:whole 9:0110`. */
function nameOf({ path, node, file, fates }: Survivor): string {
  if (file === undefined || fates === undefined) return `${path} ${node}`;
  let whole = file.folded;
  while (fates[whole - file.folded] === 'whole') whole++;
  const torn = fates.flatMap((fate, index) =>
    file.folded + index < whole || fate === 'lost' ? [] : [` ${file.folded + index}:${fate}`],
  );
  return `${path} ${node} ${whole}${torn.join('')}`;
}

/** Takes what is durable, and has nothing undecided before it, into the durable bytes. */
function fold(file: FileNode): void {
  const first = file.pending.findIndex(({ durable }) => !durable);
  const settled = first === -1 ? file.pending : file.pending.slice(0, first);
  file.pending = first === -1 ? [] : file.pending.slice(first);
  for (const change of settled) applyWhole(file.durable, change);
  file.folded += settled.length;
}

function applyWhole(bytes: PagedBytes, { at, data }: FileChange): void {
  if (data === undefined) bytes.resize(at);
  else bytes.write(data, at);
}

/** Lost, only the length, whole, or which of its sectors came through: `0110`. */
function fateOf({ at, data, durable }: FileChange, dice: Dice): Fate {
  if (durable) return 'whole';
  const fate = dice();
  if (fate < 0.3) return 'lost';
  if (data === undefined || fate >= 0.6) return 'whole';
  if (fate < 0.35) return 'length';
  return [...sectorsOf(at, data)].map(() => (dice() < 0.5 ? '1' : '0')).join('');
}

async function storeOf(survivors: readonly Survivor[]): Promise<FileStore> {
  const store = createMemoryFileStore();
  for (const { path, file, fates = [] } of survivors) {
    if (file === undefined) {
      await store.makeFolder(path);
      continue;
    }
    const made = await store.create(path);
    for (const { at, data } of piecesOf(file.durable)) await made.write(data, at);
    await made.resize(file.durable.size);
    for (const [index, change] of file.pending.entries()) await applyTo(made, change, fates[index]!);
    await made.close();
  }
  return store;
}

async function applyTo(file: WritableFile, { at, data }: FileChange, fate: Fate): Promise<void> {
  if (fate === 'lost') return;
  if (data === undefined) return file.resize(at);
  if (fate === 'whole') return file.write(data, at);
  if (fate === 'length') return file.resize(Math.max(await file.size(), at + data.length));
  let index = 0;
  for (const [from, to] of sectorsOf(at, data)) {
    if (fate[index++] === '1') await file.write(data.subarray(from, to), at + from);
  }
}

/** Where in `data` the sectors begin and end that it goes to. */
function* sectorsOf(at: number, data: Uint8Array): Generator<readonly [from: number, to: number], void> {
  for (let from = 0; from < data.length;) {
    const to = Math.min(data.length, from + SECTOR_BYTES - ((at + from) % SECTOR_BYTES));
    yield [from, to];
    from = to;
  }
}

function* piecesOf(bytes: PagedBytes): Generator<{ at: number; data: Uint8Array }, void> {
  for (let at = 0; at < bytes.size;) {
    for (const stretch of bytes.stretches(at, bytes.size - at) ?? []) {
      for (let done = 0; stretch.data && done < stretch.length; done += COPY_BYTES) {
        const data = Buffer.allocUnsafe(Math.min(COPY_BYTES, stretch.length - done));
        bytes.read(data, stretch.start + done);
        yield { at: stretch.start + done, data };
      }
      at = stretch.start + stretch.length;
    }
  }
}

/** Mulberry32: small, and the same everywhere. */
function diceOf(seed: number): Dice {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

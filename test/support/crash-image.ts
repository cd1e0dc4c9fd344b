// What a medium holds under the assumptions of crash-store.ts: what is durable, and what is on its way there. Files
// and folders are nodes, names are slots in a folder, so that a rename takes all that is below along.
import { posix } from 'node:path';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { PagedBytes } from '../../src/storage/paged-bytes.ts';

const SECTOR_BYTES = 512;
const COPY_BYTES = 1 << 20;
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
  pending: FileChange[];
}

/** Decides the fate of one unsynced change: a number in [0, 1). */
type Dice = () => number;

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

  async *states(seed: number, count: number): AsyncGenerator<FileStore, void> {
    const random = diceOf(seed);
    for (let i = 0; i < count; i++)
      yield await this.#state(i === 0 ? () => 0 : i === 1 ? () => 0.999 : random);
  }

  async #state(dice: Dice): Promise<FileStore> {
    const names = new Map<string, Map<string, string>>([...this.#folders].map((node) => [node, new Map()]));
    for (const { empties, fills, node, unsynced } of this.#names) {
      if (unsynced.size > 0 && dice() < 0.5) continue;
      if (empties !== undefined) names.get(empties.folder)?.delete(empties.name);
      if (fills !== undefined && node !== undefined) names.get(fills.folder)?.set(fills.name, node);
    }
    const store = createMemoryFileStore();
    const fill = async (folder: string, path: string): Promise<void> => {
      for (const [name, node] of names.get(folder) ?? []) {
        const below = posix.join(path, name);
        const file = this.#files.get(node);
        if (file !== undefined) await writeTo(store, below, survivor(file, dice));
        else {
          await store.makeFolder(below);
          await fill(node, below);
        }
      }
    };
    await fill(ROOT, '/');
    return store;
  }

  #file(node: string): FileNode {
    const known = this.#files.get(node);
    if (known !== undefined) return known;
    const file = { durable: new PagedBytes(), pending: [] };
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

/** Takes what is durable, and has nothing undecided before it, into the durable bytes. */
function fold(file: FileNode): void {
  const first = file.pending.findIndex(({ durable }) => !durable);
  const settled = first === -1 ? file.pending : file.pending.slice(0, first);
  file.pending = first === -1 ? [] : file.pending.slice(first);
  for (const change of settled) applyWhole(file.durable, change);
}

/** The bytes of a file after a crash, each unsynced change decided by the dice. */
function survivor(file: FileNode, dice: Dice): PagedBytes {
  const bytes = copyOf(file.durable);
  for (const change of file.pending) {
    if (change.durable) applyWhole(bytes, change);
    else applyPerhaps(bytes, change, dice);
  }
  return bytes;
}

function applyWhole(bytes: PagedBytes, { at, data }: FileChange): void {
  if (data === undefined) bytes.resize(at);
  else bytes.write(data, at);
}

/** Lost, only the length, torn between sectors, or whole. */
function applyPerhaps(bytes: PagedBytes, change: FileChange, dice: Dice): void {
  const { at, data } = change;
  const fate = dice();
  if (fate < 0.3) return;
  if (data === undefined || fate >= 0.6) return applyWhole(bytes, change);
  if (fate < 0.35) return bytes.resize(Math.max(bytes.size, at + data.length));
  for (let from = 0; from < data.length;) {
    const to = Math.min(data.length, from + SECTOR_BYTES - ((at + from) % SECTOR_BYTES));
    if (dice() < 0.5) bytes.write(data.subarray(from, to), at + from);
    from = to;
  }
}

function copyOf(source: PagedBytes): PagedBytes {
  const copy = new PagedBytes();
  for (const { at, data } of piecesOf(source)) copy.write(data, at);
  copy.resize(source.size);
  return copy;
}

async function writeTo(store: FileStore, path: string, bytes: PagedBytes): Promise<void> {
  const file = await store.create(path);
  for (const { at, data } of piecesOf(bytes)) await file.write(data, at);
  await file.resize(bytes.size);
  await file.close();
}

function* piecesOf(bytes: PagedBytes): Generator<{ at: number; data: Uint8Array }, void> {
  for (let at = 0; at < bytes.size;) {
    for (const stretch of bytes.stretches(at, bytes.size - at) ?? []) {
      for (let done = 0; stretch.data && done < stretch.length; done += COPY_BYTES) {
        const data = new Uint8Array(Math.min(COPY_BYTES, stretch.length - done));
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

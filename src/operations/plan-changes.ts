// From what a caller wants changed to the records of a journal: every path placed in its root, every file looked at
// as it stands. Rule: what cannot be done as a whole is refused here, before anything was made.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { usageError, VmdkError } from '../core/errors.ts';
import type { FileStore, StoredKind } from '../storage/file-store.ts';
import { kindWords } from '../storage/store-errors.ts';
import { isName, isWithin, type ChangeRecord } from './change-journal.ts';
import type { FileChange, PatchChange, ReplaceChange } from './file-change.ts';
import { inParallel } from './in-parallel.ts';
import { targetExists } from './staging.ts';
import { readWhole } from './tidy.ts';

/** More is no file to be replaced whole. */
const MOST_REPLACED_BYTES = 64 * 1024 * 1024;

export interface PlannedChange {
  readonly record: ChangeRecord;
  readonly change: FileChange;
  /** The bytes that a patch covers, as they are. */
  readonly old?: Buffer;
}

/**
 * The changes with their records, in the order given. `roots` are real paths.
 * @throws VmdkError `outside-roots` (refused), `target-exists`, `file-missing`, `changed-since` (conflict), `usage`.
 */
export async function planChanges(
  store: FileStore,
  roots: readonly string[],
  changes: readonly FileChange[],
): Promise<PlannedChange[]> {
  const places = new Places(store, roots);
  const emptied = new Set<string>();
  const planned: PlannedChange[] = Array.from({ length: changes.length });
  await inParallel(changes, async (change) => {
    if (change.kind === 'rename') emptied.add(fullPath(roots, await places.of(change.from)));
    if (change.kind === 'remove') emptied.add(fullPath(roots, await places.of(change.path)));
  });
  await inParallel(changes, async (change, index) => {
    planned[index] = await planChange(store, places, change, emptied);
  });
  assertApart(roots, planned);
  return planned;
}

/** Absolute paths that a record fills with something new. */
export function filledBy(roots: readonly string[], record: ChangeRecord): string[] {
  switch (record.kind) {
    case 'create':
    case 'folder':
      return [fullPath(roots, record)];
    case 'create-together':
      return record.files.map((name) => posix.join(fullPath(roots, record), name));
    case 'rename':
      return [fullPath(roots, { root: record.toRoot, path: record.to })];
    case 'replace':
    case 'patch':
    case 'remove':
    case 'remove-folder':
      return [];
  }
}

/** Absolute path that a record takes something away from. */
export function emptiedBy(roots: readonly string[], record: ChangeRecord): string | undefined {
  return record.kind === 'rename' || record.kind === 'remove' ? fullPath(roots, record) : undefined;
}

export function fullPath(roots: readonly string[], { root, path }: { root: number; path: string }): string {
  return posix.join(roots[root]!, path);
}

export function hashOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Where paths lie, each folder looked up once. */
class Places {
  readonly #store: FileStore;
  readonly #roots: readonly string[];
  readonly #folders = new Map<string, Promise<string>>();

  constructor(store: FileStore, roots: readonly string[]) {
    this.#store = store;
    this.#roots = roots;
  }

  /** The root that a name lies in, and its path there; its folder free of symbolic links, itself not followed. */
  async of(path: string): Promise<{ root: number; path: string }> {
    const folder = posix.resolve(posix.dirname(path));
    const known = this.#folders.get(folder) ?? this.#store.resolve(folder).then((found) => found.path);
    this.#folders.set(folder, known);
    return this.#within(posix.join(await known, posix.basename(path)), path);
  }

  /** The same for a folder that may be a root itself. */
  async ofFolder(path: string): Promise<{ root: number; path: string }> {
    const real = (await this.#store.resolve(path)).path;
    const root = this.#roots.indexOf(real);
    return root >= 0 ? { root, path: '' } : this.#within(real, path);
  }

  /** The same for what is there: symbolic links are followed, and what they lead to must lie within as well. */
  async ofExisting(
    path: string,
    expected: StoredKind,
  ): Promise<{ root: number; path: string; size: number }> {
    const { path: real, kind, size } = await this.#store.resolve(path);
    if (kind !== expected)
      throw new VmdkError('refused', 'not-a-regular-file', 'this cannot be changed', {
        path,
        found: kindWords(kind),
        expected: kindWords(expected),
      });
    return { ...this.#within(real, path), size };
  }

  real(place: { root: number; path: string }): string {
    return fullPath(this.#roots, place);
  }

  #within(real: string, named: string): { root: number; path: string } {
    // The innermost root: another one may hold it.
    let best: { root: number; path: string } | undefined;
    for (const [root, folder] of this.#roots.entries()) {
      const prefix = folder === '/' ? '/' : `${folder}/`;
      if (!real.startsWith(prefix)) continue;
      const path = real.slice(prefix.length);
      if (isWithin(path) && (best === undefined || path.length < best.path.length)) best = { root, path };
    }
    if (best !== undefined) return best;
    throw new VmdkError('refused', 'outside-roots', 'this lies outside the folders that may be changed', {
      path: named,
      found: real,
      expected: `a place below ${this.#roots.join(' or ')}`,
    });
  }
}

async function planChange(
  store: FileStore,
  places: Places,
  change: FileChange,
  emptied: ReadonlySet<string>,
): Promise<PlannedChange> {
  const assertFree = async (path: string, real: string): Promise<void> => {
    if (!emptied.has(real) && (await store.exists(path))) throw targetExists(path);
  };
  switch (change.kind) {
    case 'create':
    case 'folder': {
      const place = await places.of(change.path);
      await assertFree(change.path, places.real(place));
      if (change.kind === 'create') return { change, record: { kind: 'create', ...place } };
      const files = namesOf(change.files.map(({ name }) => name));
      return { change, record: { kind: 'folder', ...place, files, optional: change.optional === true } };
    }
    case 'create-together': {
      const place = await places.ofFolder(change.path);
      const files = namesOf(change.names);
      for (const name of files) {
        await assertFree(posix.join(change.path, name), posix.join(places.real(place), name));
      }
      return { change, record: { kind: 'create-together', ...place, files } };
    }
    case 'rename': {
      const place = await places.of(change.from);
      const { root: toRoot, path: to } = await places.of(change.to);
      await assertFree(change.to, places.real({ root: toRoot, path: to }));
      // A link would lead elsewhere from its new place, and from the journal on its way there.
      const real = (await store.resolve(change.from)).path;
      if (real !== places.real(place)) throw usageError(`${change.from} is a link to ${real}: not renamed`);
      return { change, record: { kind: 'rename', ...place, toRoot, to } };
    }
    case 'remove': {
      const place = await places.of(change.path);
      if ((await store.resolve(change.path)).kind === 'folder')
        throw usageError(`${change.path} is a folder: a change set removes folders only when they are empty`);
      return { change, record: { kind: 'remove', ...place } };
    }
    case 'remove-folder': {
      const { root, path } = await places.ofExisting(change.path, 'folder');
      return { change, record: { kind: 'remove-folder', root, path } };
    }
    case 'replace':
      return planReplace(store, places, change);
    case 'patch':
      return planPatch(store, places, change);
  }
}

async function planReplace(store: FileStore, places: Places, change: ReplaceChange): Promise<PlannedChange> {
  const { root, path, size } = await places.ofExisting(change.path, 'file');
  if (size > MOST_REPLACED_BYTES) throw usageError(`${change.path} is too large to be replaced whole`);
  const old = await readWhole(store, change.path);
  if (change.old !== undefined && !old.equals(change.old)) throw changedSince(change.path);
  return { change, record: { kind: 'replace', root, path, before: hashOf(old), after: hashOf(change.data) } };
}

async function planPatch(store: FileStore, places: Places, change: PatchChange): Promise<PlannedChange> {
  const { at, data, from } = change;
  const { root, path } =
    from === undefined ? await places.ofExisting(change.path, 'file') : await places.of(change.path);
  const old = await readPart(store, from ?? change.path, at, data.length);
  return { change, old, record: { kind: 'patch', root, path, at, length: data.length } };
}

/** `length` bytes of a file from byte `at`. */
export async function readPart(store: FileStore, path: string, at: number, length: number): Promise<Buffer> {
  const file = await store.open(path, 'read');
  try {
    const bytes = Buffer.alloc(length);
    await file.readExactly(bytes, at);
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * Looks again, just before the point of no return.
 * @throws VmdkError `changed-since` (conflict), `target-exists`, `file-missing`.
 */
export async function assertStillSo(
  store: FileStore,
  roots: readonly string[],
  { change, record, old }: PlannedChange,
  emptied: ReadonlySet<string>,
): Promise<void> {
  const path = fullPath(roots, record);
  switch (record.kind) {
    case 'replace':
      if (hashOf(await readWhole(store, path)) !== record.before) throw changedSince(path);
      return;
    case 'patch': {
      const now = (change.kind === 'patch' ? change.from : undefined) ?? path;
      if (old?.equals(await readPart(store, now, record.at, record.length)) !== true) throw changedSince(now);
      return;
    }
    case 'folder':
    case 'rename':
      for (const to of filledBy(roots, record)) {
        if (!emptied.has(to) && (await store.exists(to))) throw targetExists(to);
      }
      return;
    case 'create':
    case 'create-together':
    case 'remove':
    case 'remove-folder':
      return;
  }
}

function namesOf(names: readonly string[]): string[] {
  for (const name of names)
    if (!isName(name)) throw usageError(`${JSON.stringify(name)} is no name of a file`);
  if (new Set(names).size !== names.length) throw usageError('two files of one folder have the same name');
  return [...names];
}

/** Two changes of one path would depend on their order. */
function assertApart(roots: readonly string[], planned: readonly PlannedChange[]): void {
  const seen = new Map<string, 'filled' | 'emptied' | 'edited'>();
  const note = (path: string, use: 'filled' | 'emptied' | 'edited'): void => {
    for (const other of ['filled', 'emptied', 'edited'] as const) {
      const key = `${other} ${path}`;
      if (!seen.has(key)) continue;
      // A place that is emptied can be filled again.
      if (use !== other && use !== 'edited' && other !== 'edited') continue;
      throw usageError(`${path} is changed twice by one change set`);
    }
    seen.set(`${use} ${path}`, use);
  };
  const patched = new Set<string>();
  const renamed = new Map<string, string>();
  for (const { change, record } of planned)
    if (change.kind === 'rename') renamed.set(filledBy(roots, record)[0]!, change.from);
  for (const { change, record } of planned) {
    for (const path of filledBy(roots, record)) note(path, 'filled');
    const from = emptiedBy(roots, record);
    if (from !== undefined) note(from, 'emptied');
    const path = fullPath(roots, record);
    if (change.kind === 'patch' && change.from !== undefined) {
      if (renamed.get(path) !== change.from) throw usageError(`${change.from} does not come to ${path}`);
      continue;
    }
    if (record.kind === 'replace' || (record.kind === 'patch' && !patched.has(path))) note(path, 'edited');
    if (record.kind === 'patch') patched.add(path);
  }
}

export function changedSince(path: string, hint = 'Nothing was changed. Run the command again.'): VmdkError {
  return new VmdkError('conflict', 'changed-since', 'somebody else changed this file meanwhile', {
    path,
    found: 'other content',
    expected: 'what was read when this began',
    hint,
  });
}

// Changes the snapshot database of a machine, line by line: what is not named stays as it was. Rule: each edit leaves a
// file that VMware reads: positions without gaps, numSnapshots right, lastUID never going back.
import { usageError, VmdkError } from '../core/errors.ts';
import type { Dictionary } from './dictionary.ts';
import { composeDictionary, editDictionary, reencodeDictionary, renameKeys } from './edit-dictionary.ts';
import { encodeText } from './text-encoding.ts';
import {
  childrenOf,
  microsToHighLow,
  readSnapshotDatabase,
  type Snapshot,
  type SnapshotDatabase,
  type SnapshotDisk,
} from './vmsd.ts';

export interface NewSnapshot {
  readonly uid: number;
  readonly parentUid?: number | undefined;
  readonly displayName: string;
  readonly description?: string | undefined;
  /** `0` or missing: taken powered off. */
  readonly type?: string | undefined;
  readonly createdMicros: bigint;
  /** Its .vmsn, where there is one. */
  readonly vmsn?: string | undefined;
  readonly disks: readonly SnapshotDisk[];
}

/** The file of a machine that has no snapshots yet. */
export function emptyVmsd(path: string, eol: '\n' | '\r\n' = '\n'): Dictionary {
  return composeDictionary([], { path, eol });
}

/** Adds a snapshot after the last one and makes it the current one. */
export function addSnapshot(dictionary: Dictionary, snapshot: NewSnapshot): Dictionary {
  const database = readSnapshotDatabase(dictionary);
  const { uid, parentUid, displayName, description = '', type, createdMicros, vmsn, disks } = snapshot;
  if (!Number.isSafeInteger(uid) || uid < 1) throw usageError(`${uid} cannot be the uid of a snapshot`);
  if (database.snapshots.some((other) => other.uid === uid))
    throw usageError(`there is a snapshot ${uid} already`);
  const index = 1 + Math.max(-1, ...database.snapshots.map((other) => other.index));
  const { high, low } = microsToHighLow(createdMicros);
  const own: [string, string | undefined][] = [
    ['uid', String(uid)],
    ['filename', vmsn],
    ['parent', parentUid === undefined ? undefined : String(parentUid)],
    ['displayName', displayName],
    ['description', description === '' ? undefined : description],
    ['type', type],
    ['createTimeHigh', String(high)],
    ['createTimeLow', String(low)],
    ['numDisks', String(disks.length)],
    ...disks.flatMap(({ node, fileName }, disk): [string, string][] => [
      [`disk${disk}.fileName`, fileName],
      [`disk${disk}.node`, node],
    ]),
  ];
  const edits: Record<string, string> = {};
  const start = dictionary.lines.length === 0 ? emptyVmsd(dictionary.path) : dictionary;
  edits['snapshot.lastUID'] = String(Math.max(uid, database.lastUid));
  edits['snapshot.current'] = String(uid);
  for (const [name, value] of own) if (value !== undefined) edits[`snapshot${index}.${name}`] = value;
  edits['snapshot.numSnapshots'] = String(database.snapshots.length + 1);
  return editText(start, edits);
}

/**
 * Takes a snapshot out with every line of it. Its children hang on its parent then, the later ones move up, and when it
 * was the current one, its parent is.
 */
export function removeSnapshot(dictionary: Dictionary, uid: number): Dictionary {
  const database = readSnapshotDatabase(dictionary);
  const { index, parentUid } = snapshotIn(database, uid, dictionary.path);
  const edits: Record<string, string | null> = {};
  for (const child of childrenOf(database, uid)) {
    edits[`snapshot${child.index}.parent`] = parentUid === undefined ? null : String(parentUid);
  }
  if (database.currentUid === uid)
    edits['snapshot.current'] = parentUid === undefined ? null : String(parentUid);
  edits['snapshot.numSnapshots'] = String(database.snapshots.length - 1);
  edits['snapshot.lastUID'] = String(database.lastUid);
  return renameKeys(editDictionary(dictionary, edits), (name) => {
    const match = /^(snapshot)(\d+)(\..*)$/i.exec(name);
    if (match === null || Number(match[2]) < index) return undefined;
    return Number(match[2]) === index ? null : `${match[1]!}${Number(match[2]) - 1}${match[3]!}`;
  });
}

/** Undefined leaves a name or description as it is. */
export function renameSnapshot(
  dictionary: Dictionary,
  uid: number,
  change: { displayName?: string | undefined; description?: string | undefined },
): Dictionary {
  const { index } = snapshotIn(readSnapshotDatabase(dictionary), uid, dictionary.path);
  const { displayName, description } = change;
  return editText(dictionary, {
    ...(displayName === undefined ? {} : { [`snapshot${index}.displayName`]: displayName }),
    ...(description === undefined
      ? {}
      : { [`snapshot${index}.description`]: description === '' ? null : description }),
  });
}

/** Undefined: the running state came from no snapshot. */
export function setCurrent(dictionary: Dictionary, uid: number | undefined): Dictionary {
  if (uid !== undefined) snapshotIn(readSnapshotDatabase(dictionary), uid, dictionary.path);
  return editDictionary(dictionary, { 'snapshot.current': uid === undefined ? null : String(uid) });
}

/** The disks of a snapshot, all of them: their files have been replaced by others. */
export function setSnapshotDisks(
  dictionary: Dictionary,
  uid: number,
  disks: readonly SnapshotDisk[],
): Dictionary {
  const { index } = snapshotIn(readSnapshotDatabase(dictionary), uid, dictionary.path);
  const prefix = `snapshot${index}.disk`;
  const edits = dropAll(
    dictionary,
    new RegExp(`^snapshot${index}\\.disk(\\d+)\\.(?:filename|node)$`),
    disks.length,
  );
  edits[`snapshot${index}.numDisks`] = String(disks.length);
  for (const [disk, { node, fileName }] of disks.entries()) {
    edits[`${prefix}${disk}.fileName`] = fileName;
    edits[`${prefix}${disk}.node`] = node;
  }
  return editDictionary(dictionary, edits);
}

/**
 * The linked clones that hang on a snapshot, all of them, by their .vmx. The snapshot is meant by its place: two may have one
 * uid in a damaged file.
 */
export function setClones(
  dictionary: Dictionary,
  { index, uid }: Pick<Snapshot, 'index' | 'uid'>,
  clones: readonly string[],
): Dictionary {
  const there = readSnapshotDatabase(dictionary).snapshots;
  if (!there.some((one) => one.index === index && one.uid === uid))
    throw noSnapshot(there, uid, dictionary.path);
  const edits = dropAll(dictionary, new RegExp(`^snapshot${index}\\.clone(\\d+)$`), clones.length);
  for (const [clone, path] of clones.entries()) edits[`snapshot${index}.clone${clone}`] = path;
  edits[`snapshot${index}.numClones`] = String(clones.length);
  return editText(dictionary, edits);
}

/** The database of a linked clone: whom it comes from, and which disks VMware must leave alone when it is deleted. */
export function composeCloneDatabase(clone: {
  readonly path: string;
  readonly cloneOf: readonly string[];
  readonly sentinels: readonly string[];
  readonly eol?: '\n' | '\r\n';
}): Dictionary {
  const { path, cloneOf, sentinels, eol = '\n' } = clone;
  const entries: [string, string][] = [
    ...cloneOf.map((vmx, index): [string, string] => [`cloneOf${index}`, vmx]),
    ['numCloneOf', String(cloneOf.length)],
    ...sentinels.map((disk, index): [string, string] => [`sentinel${index}`, disk]),
    ['numSentinels', String(sentinels.length)],
  ];
  return composeDictionary(entries, { path, eol });
}

/** Names of people's choosing: where the file's encoding lacks a character, the file becomes UTF-8. */
function editText(dictionary: Dictionary, edits: Readonly<Record<string, string | null>>): Dictionary {
  const fits = Object.values(edits).every(
    (value) => value === null || encodeText(value, dictionary.encoding) !== undefined,
  );
  return editDictionary(fits ? dictionary : reencodeDictionary(dictionary), edits);
}

function snapshotIn({ snapshots }: SnapshotDatabase, uid: number, path: string): Snapshot {
  const found = snapshots.find((snapshot) => snapshot.uid === uid);
  if (found !== undefined) return found;
  throw noSnapshot(snapshots, uid, path);
}

function noSnapshot(snapshots: readonly Snapshot[], uid: number, path: string): VmdkError {
  return new VmdkError('missing', 'snapshot-missing', 'there is no such snapshot', {
    path,
    found: snapshots.map((snapshot) => snapshot.uid).join(', ') || 'no snapshots',
    expected: `uid ${uid}`,
  });
}

/** Edits that drop the numbered lines which a list of `kept` entries does not write anew. */
function dropAll({ entries }: Dictionary, pattern: RegExp, kept: number): Record<string, string | null> {
  const edits: Record<string, string | null> = {};
  for (const { key } of entries) {
    const index = pattern.exec(key)?.[1];
    if (index !== undefined && Number(index) >= kept) edits[key] = null;
  }
  return edits;
}

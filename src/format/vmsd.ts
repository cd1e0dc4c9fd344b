// The snapshot database of a machine (.vmsd), read. Rule: a pure reading of a dictionary; real files lack keys, repeat
// uids and point nowhere, so each snapshot that can be told apart is given and the rest is a problem.
// Source of keys and of the time formula: format.md 8.3.
import { VmdkError } from '../core/errors.ts';
import type { Dictionary, DictionaryProblem } from './dictionary.ts';
import { showText } from './plain-text.ts';
import { truth } from './vmx.ts';

export interface SnapshotDisk {
  /** `scsi0:0`; empty where the file does not say. */
  readonly node: string;
  /** The disk as it was when the snapshot was taken: a link that nobody writes to since. */
  readonly fileName: string;
}

export interface Snapshot {
  /** N of `snapshotN`: a position, not the uid. */
  readonly index: number;
  readonly uid: number;
  /** Missing on a root. */
  readonly parentUid?: number;
  readonly displayName: string;
  readonly description: string;
  /** `1`: with memory; `0` or missing: powered off. Others are not known. */
  readonly type?: string;
  /** Microseconds since 1970 in UTC; missing where none is written. */
  readonly createdMicros?: bigint;
  /** ISO 8601 in UTC; missing for no time and for zero. */
  readonly createdAt?: string;
  /** Its .vmsn, as written. */
  readonly vmsn?: string;
  readonly disks: readonly SnapshotDisk[];
  /** The .vmx of each linked clone that hangs on it, as written. */
  readonly clones: readonly string[];
}

export interface SnapshotDatabase {
  /** In the order of their positions. */
  readonly snapshots: readonly Snapshot[];
  /** The snapshot that the running state came from, also when it has no entry. */
  readonly currentUid?: number;
  readonly lastUid: number;
  readonly needConsolidate: boolean;
  /** In a linked clone: the .vmx of the machine it was made from. */
  readonly cloneOf: readonly string[];
  /** In a linked clone: disks that VMware must not delete with it. */
  readonly sentinels: readonly string[];
  readonly problems: readonly DictionaryProblem[];
}

/** What of a machine without a .vmsd, or with an empty one, is known. */
export const NO_SNAPSHOTS: SnapshotDatabase = {
  snapshots: [],
  lastUid: 0,
  needConsolidate: false,
  cloneOf: [],
  sentinels: [],
  problems: [],
};

/** VMware supports some hundred; more is damage or an attack. */
const MOST_SNAPSHOTS = 4096;
const TWO_32 = 1n << 32n;
/** Beyond it JavaScript has no dates. */
const LAST_MICROS = 8_640_000_000_000_000_000n;

/** @throws VmdkError `corrupt` `too-many-snapshots`. */
export function readSnapshotDatabase(dictionary: Dictionary): SnapshotDatabase {
  const problems: DictionaryProblem[] = [];
  const snapshots: Snapshot[] = [];
  const entries = numbered(dictionary, 'snapshot');
  if (entries.length > MOST_SNAPSHOTS) {
    throw new VmdkError('corrupt', 'too-many-snapshots', 'no machine has so many snapshots', {
      path: dictionary.path,
      found: entries.length,
      expected: `at most ${MOST_SNAPSHOTS}`,
    });
  }
  for (const [index, fields] of entries) {
    const snapshot = readSnapshot(index, fields, problems);
    if (snapshot !== undefined) snapshots.push(snapshot);
  }
  const current = uidIn(dictionary.get('snapshot.current'));
  const database = {
    snapshots,
    ...(current === undefined || current === 0 ? {} : { currentUid: current }),
    lastUid: Math.max(0, uidIn(dictionary.get('snapshot.lastUID')) ?? 0, ...snapshots.map(({ uid }) => uid)),
    needConsolidate: truth(dictionary.get('snapshot.needConsolidate')) === true,
    cloneOf: listed(dictionary, /^cloneof(\d{1,5})$/),
    sentinels: listed(dictionary, /^sentinel(\d{1,5})$/),
  };
  noteOddTree(database, dictionary, problems);
  return { ...database, problems };
}

/** Two signed halves, as VMware writes them. */
export function microsToHighLow(micros: bigint): { high: number; low: number } {
  return { high: Number(micros >> 32n), low: Number(BigInt.asIntN(32, micros)) };
}

export function highLowToMicros(high: number, low: number): bigint {
  return BigInt(high) * TWO_32 + BigInt.asUintN(32, BigInt(low));
}

/** The snapshots that have this one as their parent, in order of position. */
export function childrenOf({ snapshots }: SnapshotDatabase, uid: number): Snapshot[] {
  return snapshots.filter(({ parentUid }) => parentUid === uid);
}

/** From the snapshot upwards to its root, itself first; ends where a parent is missing or a circle closes. */
export function ancestryOf({ snapshots }: SnapshotDatabase, uid: number | undefined): Snapshot[] {
  const line = new Set<Snapshot>();
  const byUid = new Map(snapshots.map((snapshot) => [snapshot.uid, snapshot]));
  for (let at = uid; at !== undefined;) {
    const snapshot = byUid.get(at);
    if (snapshot === undefined || line.has(snapshot)) break;
    line.add(snapshot);
    at = snapshot.parentUid;
  }
  return [...line];
}

type Fields = ReadonlyMap<string, string>;

/** `snapshot0.uid` and its like, by number: what stands after the dot, in lower case, and its value. */
function numbered(dictionary: Dictionary, word: string): [number, Fields][] {
  const pattern = new RegExp(`^${word}(\\d{1,6})\\.(.+)$`);
  const groups = new Map<number, Map<string, string>>();
  for (const { key, value } of dictionary.entries) {
    const match = pattern.exec(key);
    if (match === null) continue;
    const index = Number(match[1]);
    const group = groups.get(index) ?? new Map<string, string>();
    group.set(match[2]!, value);
    groups.set(index, group);
  }
  return [...groups].sort(([a], [b]) => a - b);
}

function readSnapshot(index: number, fields: Fields, problems: DictionaryProblem[]): Snapshot | undefined {
  const uid = uidIn(fields.get('uid'));
  if (uid === undefined || uid === 0) {
    const found = fields.has('uid') ? `the uid "${showText(fields.get('uid')!)}"` : 'no uid';
    note(
      problems,
      'vmsd-bad-uid',
      `snapshot${index} has ${found}: it cannot be told from others, and is left out`,
    );
    return undefined;
  }
  const parent = uidIn(fields.get('parent'));
  const created = createdMicros(fields);
  const createdAt = created === undefined ? undefined : isoTime(created);
  const [type, vmsn] = [fields.get('type'), fields.get('filename')];
  return {
    index,
    uid,
    ...(parent === undefined || parent === 0 ? {} : { parentUid: parent }),
    displayName: fields.get('displayname') ?? '',
    description: fields.get('description') ?? '',
    ...(type === undefined || type === '' ? {} : { type }),
    ...(created === undefined ? {} : { createdMicros: created }),
    ...(createdAt === undefined ? {} : { createdAt }),
    ...(vmsn === undefined || vmsn === '' ? {} : { vmsn }),
    disks: readDisks(fields),
    clones: listedIn(fields, /^clone(\d{1,5})$/),
  };
}

function readDisks(fields: Fields): SnapshotDisk[] {
  return [...fields]
    .flatMap(([key, fileName]) => {
      const index = /^disk(\d{1,5})\.filename$/.exec(key)?.[1];
      if (index === undefined || fileName === '') return [];
      return [
        { index: Number(index), node: (fields.get(`disk${index}.node`) ?? '').toLowerCase(), fileName },
      ];
    })
    .sort((a, b) => a.index - b.index)
    .map(({ node, fileName }) => ({ node, fileName }));
}

function createdMicros(fields: Fields): bigint | undefined {
  const [high, low] = [fields.get('createtimehigh'), fields.get('createtimelow')];
  if (high === undefined || low === undefined) return undefined;
  if (!/^-?\d{1,11}$/.test(high) || !/^-?\d{1,11}$/.test(low)) return undefined;
  return highLowToMicros(Number(high), Number(low));
}

function isoTime(micros: bigint): string | undefined {
  if (micros <= 0n || micros > LAST_MICROS) return undefined;
  return new Date(Number(micros / 1000n)).toISOString();
}

/** Decimal and small: nothing else is a uid. */
function uidIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function listed({ entries }: Dictionary, pattern: RegExp): string[] {
  return listedIn(new Map(entries.map(({ key, value }) => [key, value])), pattern);
}

/** Counts such as numClones are not believed: an entry that lingers is better told than left out. */
function listedIn(fields: Fields, pattern: RegExp): string[] {
  return [...fields]
    .flatMap(([key, value]) => {
      const index = pattern.exec(key)?.[1];
      return index === undefined || value === '' ? [] : [{ index: Number(index), value }];
    })
    .sort((a, b) => a.index - b.index)
    .map(({ value }) => value);
}

function noteOddTree(
  database: Omit<SnapshotDatabase, 'problems'>,
  dictionary: Dictionary,
  problems: DictionaryProblem[],
): void {
  const { snapshots, currentUid } = database;
  const uids = new Set<number>();
  for (const { uid, index } of snapshots) {
    if (uids.has(uid))
      note(problems, 'vmsd-duplicate-uid', `snapshot${index} has the uid ${uid}, which another has too`);
    uids.add(uid);
  }
  for (const { uid, parentUid, disks } of snapshots) {
    if (parentUid !== undefined && !uids.has(parentUid)) {
      note(
        problems,
        'vmsd-parent-missing',
        `snapshot ${uid} has the parent ${parentUid}, which is not in the file`,
      );
    }
    if (disks.some(({ node }) => node === '')) {
      note(
        problems,
        'vmsd-disk-without-node',
        `a disk of snapshot ${uid} does not say where it was attached`,
      );
    }
  }
  const circles = inCircles(snapshots);
  if (circles.length > 0) {
    const names = circles.map(({ uid }) => uid).join(', ');
    note(problems, 'vmsd-circle', `the snapshots ${names} are their own ancestors`, 'error');
  }
  if (currentUid !== undefined && !uids.has(currentUid)) {
    note(problems, 'vmsd-current-missing', `the current snapshot ${currentUid} is not in the file`);
  }
  const count = dictionary.get('snapshot.numSnapshots');
  if (count !== undefined && count !== String(snapshots.length)) {
    note(problems, 'vmsd-count', `${showText(count)} snapshots are announced, ${snapshots.length} are there`);
  }
}

/** Each is walked up from once, whatever the shape. */
function inCircles(snapshots: readonly Snapshot[]): Snapshot[] {
  const byUid = new Map(snapshots.map((snapshot) => [snapshot.uid, snapshot]));
  const done = new Set<Snapshot>();
  const circles: Snapshot[] = [];
  for (const start of snapshots) {
    const line = new Set<Snapshot>();
    let at: Snapshot | undefined = start;
    while (at !== undefined && !done.has(at) && !line.has(at)) {
      line.add(at);
      at = at.parentUid === undefined ? undefined : byUid.get(at.parentUid);
    }
    const walked = [...line];
    if (at !== undefined && line.has(at)) circles.push(...walked.slice(walked.indexOf(at)));
    for (const snapshot of walked) done.add(snapshot);
  }
  return circles;
}

function note(
  problems: DictionaryProblem[],
  code: string,
  message: string,
  severity: DictionaryProblem['severity'] = 'warning',
): void {
  problems.push({ code, severity, message });
}

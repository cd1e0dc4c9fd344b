// What the files of a machine say about which disk stands on which: its .vmx and .vmsd, and VMware's logs. Rule: only
// names are taken from them, and only as claims; whoever uses a claim proves it against the files that are there.
// Source of the log lines: vmware.log of ESX and Workstation as their users quote them (leaf first, then its parents).
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { parseDictionary, type Dictionary } from '../format/dictionary.ts';
import { NO_SNAPSHOTS, readSnapshotDatabase } from '../format/vmsd.ts';
import { readVmx, type VmxDevice } from '../format/vmx.ts';
import type { FileStore } from '../storage/file-store.ts';

/** One statement that `child` stands on `parent`; both names of files in the folder. */
export interface ParentClaim {
  readonly child: string;
  readonly parent: string;
  /** The file that says so, and the line of a log: `vmware.log:12`. */
  readonly by: string;
}

export interface LoggedSize {
  readonly sectors: number;
  /** `vmware.log:12`. */
  readonly by: string;
}

export interface Evidence {
  /** Of a log only the last word about each child. */
  readonly parents: readonly ParentClaim[];
  /** Sectors that a disk had when it was opened last, by its name. */
  readonly sizes: ReadonlyMap<string, LoggedSize>;
  /** ddb.adapterType by the name of the disk, where a .vmx has it at a controller. */
  readonly adapters: ReadonlyMap<string, string>;
}

const MOST_LOGS = 32;
/** The end of each log: what was true last. */
const MOST_LOG_BYTES = 8 << 20;
/** Has the last line of a log, and its time. */
const LAST_LINES_BYTES = 64 << 10;
const MOST_MACHINE_FILES = 64;
const LINK_OPENED = /DISKLIB-LINK\s*: Opened '([^']+)' \(0x[0-9a-f]+\): (\w+), (\d+) sectors/i;
const CHAIN_OPENED = /DISKLIB-LIB\s*: Opened "/;
const CID_MISMATCH = /Content ID mismatch \(parentCID [0-9a-f]+ != [0-9a-f]+\) (.+\.vmdk) (.+\.vmdk)\.?\s*$/i;
const LINE_TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))/gm;
const THREAD = /^[^|]*\|\s*([^|]*)\|/;
/** Nothing is below such a link. */
const BASES: ReadonlySet<string> = new Set(['vmfs', 'monolithicflat', 'twogbmaxextentflat', 'fulldevice']);

/** Looks through the .vmx, .vmsd and .log files of a folder; what cannot be read says nothing. */
export async function gatherEvidence(store: FileStore, folder: string): Promise<Evidence> {
  const names = (await store.list(folder)).sort();
  const adapters = new Map<string, string>();
  const logs = await readLogs(store, folder, names);
  const parents = [...(await machineClaims(store, folder, names, adapters)), ...logs.parents];
  const claims = parents.filter(({ child, parent }) => child !== parent);
  // What a disk stands on hangs at the same controller.
  for (const [name, adapter] of adapters) {
    for (const { child, parent } of claims) {
      if (child === name && !adapters.has(parent)) adapters.set(parent, adapter);
    }
  }
  return { parents: claims, sizes: logs.sizes, adapters };
}

async function machineClaims(
  store: FileStore,
  folder: string,
  names: readonly string[],
  adapters: Map<string, string>,
): Promise<ParentClaim[]> {
  const [machines, databases] = [/\.vmx$/i, /\.vmsd$/i].map((end) =>
    names.filter((name) => end.test(name)).slice(0, MOST_MACHINE_FILES),
  );
  const claims: ParentClaim[] = [];
  const own = (fileName: string): string | undefined => nameHere(folder, fileName);
  for (const name of machines!) {
    const dictionary = await dictionaryAt(store, posix.join(folder, name));
    if (dictionary === undefined) continue;
    const disks = readVmx(dictionary).devices.filter(({ kind }) => kind === 'disk');
    for (const disk of disks) {
      const file = own(disk.fileName ?? '');
      if (file !== undefined) adapters.set(file, adapterOf(disk));
    }
    const database = databases!.length === 1 ? databases![0]! : name.replace(/\.vmx$/i, '.vmsd');
    claims.push(...(await snapshotClaims(store, folder, database, disks, own)));
  }
  return claims;
}

/** Each frozen disk stands on that of the snapshot before it, the running one on that of the current snapshot. */
async function snapshotClaims(
  store: FileStore,
  folder: string,
  name: string,
  running: readonly VmxDevice[],
  own: (fileName: string) => string | undefined,
): Promise<ParentClaim[]> {
  const dictionary = await dictionaryAt(store, posix.join(folder, name));
  const { snapshots, currentUid } =
    dictionary === undefined ? NO_SNAPSHOTS : readSnapshotDatabase(dictionary);
  const claims: ParentClaim[] = [];
  const claim = (node: string, fileName: string, below: number | undefined): void => {
    const frozen = snapshots.find(({ uid }) => uid === below)?.disks.find((disk) => disk.node === node);
    const [child, parent] = [own(fileName), own(frozen?.fileName ?? '')];
    if (child !== undefined && parent !== undefined) claims.push({ child, parent, by: name });
  };
  for (const { disks, parentUid } of snapshots) {
    for (const { node, fileName } of disks) claim(node, fileName, parentUid);
  }
  for (const { node, fileName } of running) claim(node, fileName ?? '', currentUid);
  return claims;
}

interface LogEvidence {
  readonly parents: readonly ParentClaim[];
  readonly sizes: ReadonlyMap<string, LoggedSize>;
}

/** Later logs are read later: what they say replaces what was said before. */
async function readLogs(store: FileStore, folder: string, names: readonly string[]): Promise<LogEvidence> {
  const logs = await inOrder(store, folder, names);
  const last = new Map<string, ParentClaim>();
  // Of disks in a folder of this name; of others only where no line has one in such a folder.
  const [here, elsewhere] = [new Map<string, LoggedSize>(), new Map<string, LoggedSize>()];
  for (const name of logs.slice(-MOST_LOGS)) {
    const text = await endOfFile(store, posix.join(folder, name), MOST_LOG_BYTES);
    for (const claim of readLog(text, name)) last.set(claim.child, claim);
    for (const [path, size] of readLoggedSizes(text, name))
      (nameHere(folder, path) === undefined ? elsewhere : here).set(nameIn(path), size);
  }
  return { parents: [...last.values()], sizes: new Map([...elsewhere, ...here]) };
}

/** By path, as another host has it. */
function* readLoggedSizes(text: string, name: string): Generator<[path: string, size: LoggedSize]> {
  for (const [index, line] of text.split('\n').entries()) {
    const [, path, , sectors] = LINK_OPENED.exec(line) ?? [];
    if (path !== undefined && Number.isSafeInteger(Number(sectors)))
      yield [path, { sectors: Number(sectors), by: `${name}:${index + 1}` }];
  }
}

/**
 * The logs, oldest first: by the time of their last line, or by their numbers where a log has none. ESX numbers them as
 * they come, from 1 on; Workstation moves each on by one and has the latest at 0 (as their users describe both).
 */
async function inOrder(store: FileStore, folder: string, names: readonly string[]): Promise<string[]> {
  const found = names.flatMap((name) => {
    const [is, number] = /^vmware(?:-(\d+))?\.log$/i.exec(name) ?? [];
    return is === undefined ? [] : [{ name, number: number === undefined ? undefined : Number(number) }];
  });
  const step = found.some(({ number }) => number === 0) ? -1 : 1;
  const logs = [];
  for (const { name, number } of found) {
    const time = lastTime(await endOfFile(store, posix.join(folder, name), LAST_LINES_BYTES));
    logs.push({ name, time, turn: number === undefined ? Infinity : step * number });
  }
  const timed = logs.every(({ time }) => !Number.isNaN(time));
  logs.sort((a, b) => (timed ? a.time - b.time : 0) || (a.turn < b.turn ? -1 : 1));
  return logs.map(({ name }) => name);
}

/** In milliseconds; NaN where no line begins with one. */
function lastTime(text: string): number {
  return Date.parse([...text.matchAll(LINE_TIME)].at(-1)?.[1] ?? '');
}

/** Names only, without folders: logs tell of another host's paths. */
export function readLog(text: string, name: string): ParentClaim[] {
  const claims: ParentClaim[] = [];
  const above = new Map<string, { child: string; sectors: string }>();
  for (const [index, line] of text.split('\n').entries()) {
    const by = `${name}:${index + 1}`;
    const mismatch = CID_MISMATCH.exec(line);
    if (mismatch !== null) claims.push({ child: nameIn(mismatch[1]!), parent: nameIn(mismatch[2]!), by });
    const thread = THREAD.exec(line)?.[1]?.trim() ?? '';
    if (CHAIN_OPENED.test(line)) above.delete(thread);
    const opened = LINK_OPENED.exec(line);
    if (opened === null) continue;
    const [, path = '', type = '', sectors = ''] = opened;
    const child = above.get(thread);
    if (child !== undefined && child.sectors === sectors)
      claims.push({ child: child.child, parent: nameIn(path), by });
    if (BASES.has(type.toLowerCase())) above.delete(thread);
    else above.set(thread, { child: nameIn(path), sectors });
  }
  return claims;
}

async function dictionaryAt(store: FileStore, path: string): Promise<Dictionary | undefined> {
  try {
    const file = await store.open(path, 'read');
    try {
      const bytes = Buffer.alloc(Math.min(await file.size(), MOST_LOG_BYTES));
      await file.readExactly(bytes, 0);
      return parseDictionary(bytes, path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

async function endOfFile(store: FileStore, path: string, most: number): Promise<string> {
  try {
    const file = await store.open(path, 'read');
    try {
      const size = await file.size();
      const bytes = Buffer.alloc(Math.min(size, most));
      await file.readExactly(bytes, size - bytes.length);
      return bytes.toString();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error)) return '';
    throw error;
  }
}

/** The name of a file that is said to lie in this folder; undefined for those of others. */
function nameHere(folder: string, fileName: string): string | undefined {
  if (fileName === '') return undefined;
  const parts = fileName.replaceAll('\\', '/').split('/');
  const holder = parts.at(-2);
  if (holder !== undefined && holder !== '.' && holder !== posix.basename(folder)) return undefined;
  return nameIn(fileName);
}

function nameIn(path: string): string {
  return posix.basename(path.replaceAll('\\', '/').replace(/^\[[^\]]*\]\s*/, ''));
}

/** VMware writes lsilogic for every controller that is neither IDE nor BusLogic. */
function adapterOf({ controller, virtualDev }: VmxDevice): string {
  if (controller === 'ide') return 'ide';
  return virtualDev?.toLowerCase() === 'buslogic' ? 'buslogic' : 'lsilogic';
}

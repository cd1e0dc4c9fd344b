// The machines of a scan: each .vmx with its snapshot database, and which disks they name. Rule: a .vmx may name what
// it likes; what it leads to is looked for as parents are, past the same guard.
import { posix } from 'node:path';
import type { PathMapping } from '../chain/chain-options.ts';
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { MAX_DICTIONARY_BYTES, parseDictionary, type Dictionary } from '../format/dictionary.ts';
import { NO_SNAPSHOTS, readSnapshotDatabase, type SnapshotDatabase } from '../format/vmsd.ts';
import { readVmx, type VmxReading } from '../format/vmx.ts';
import { inParallel } from '../operations/in-parallel.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import type { DiskPool } from './disk-pool.ts';
import { locateDisk, locateFolder, type MachinePlace } from './locate-files.ts';
import { withoutPath } from './scan-disk.ts';

/** A disk as a machine names it, and the disk it means, by identity. */
export interface NamedDisk {
  readonly node: string;
  readonly fileName: string;
  readonly identity?: string;
}

export interface MachineFacts {
  readonly path: string;
  readonly config: VmxReading;
  readonly snapshots: SnapshotDatabase;
  /** The .vmsd it was read from. */
  readonly vmsdPath?: string;
  readonly disks: readonly NamedDisk[];
  /** By the position of the snapshot in `snapshots`. */
  readonly snapshotDisks: readonly (readonly NamedDisk[])[];
  readonly problems: readonly Finding[];
}

export interface MachineReader {
  /** Its guard lets machines lead anywhere in the scanned folders. */
  readonly context: OpenContext;
  readonly pool: DiskPool;
  readonly pathMap: readonly PathMapping[];
  readonly task: TaskOptions;
}

export interface ScannedMachines {
  readonly machines: readonly MachineFacts[];
  /** Files called .vmx that are none. */
  readonly problems: readonly Finding[];
}

const MOST_PROBLEMS = 8;
/** Different names of disks that are looked for on behalf of one machine: 60 disks, each with 32 snapshots. */
const MOST_NAMES = 2048;

export async function readMachines(
  files: readonly ResolvedPath[],
  reader: MachineReader,
): Promise<ScannedMachines> {
  const databases = new Map<string, ResolvedPath[]>();
  for (const file of files) {
    if (!/\.vmsd$/i.test(file.path)) continue;
    const folder = posix.dirname(file.path);
    databases.set(folder, [...(databases.get(folder) ?? []), file]);
  }
  const machines: (MachineFacts | undefined)[] = [];
  const problems: Finding[] = [];
  const configs = files.filter(({ path }) => /\.(vmx|vmtx)$/i.test(path));
  await inParallel(configs, async (place, index) => {
    throwIfAborted(reader.task);
    try {
      machines[index] = await readMachine(place, databases.get(posix.dirname(place.path)) ?? [], reader);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      if (error.code !== 'file-missing') problems.push(unreadable('MACHINE-UNREADABLE', place.path, error));
    }
  });
  return { machines: machines.filter((machine) => machine !== undefined), problems };
}

async function readMachine(
  place: ResolvedPath,
  databases: readonly ResolvedPath[],
  reader: MachineReader,
): Promise<MachineFacts> {
  const vmx = await readDictionary(reader.context.store, place);
  const config = readVmx(vmx);
  const problems: Finding[] = [];
  const { database, path: vmsdPath } = await readDatabase(
    place.path,
    databases,
    reader.context.store,
    problems,
  );
  for (const { code, severity, message } of [...config.problems, ...database.problems]) {
    if (severity !== 'info' && problems.length < MOST_PROBLEMS)
      problems.push({ code: code.toUpperCase(), severity, message, path: place.path, repairable: false });
  }
  const devices = config.devices.filter(({ kind, present, fileName }) => {
    return kind === 'disk' && present && fileName !== undefined;
  });
  const { context, pathMap } = reader;
  const alone: MachinePlace = { context, vmxPath: place.path, pathMap, folders: [] };
  const working = await locateFolder(alone, config.workingDir);
  const machine = { ...alone, folders: working === posix.dirname(place.path) ? [] : [working] };
  const known = new Map<string, Promise<string | undefined>>();
  const find = (disks: readonly { node: string; fileName?: string }[]): Promise<NamedDisk[]> =>
    Promise.all(
      disks.map(async ({ node, fileName = '' }) => {
        const looking = known.get(fileName) ?? findNamed(fileName, machine, reader.pool, known.size);
        known.set(fileName, looking);
        const identity = await looking;
        return { node, fileName, ...(identity === undefined ? {} : { identity }) };
      }),
    );
  // What it runs on comes first: a snapshot database without end must not crowd it out.
  const running = await find(devices);
  const snapshotDisks: NamedDisk[][] = [];
  for (const { disks } of database.snapshots) snapshotDisks.push(await find(disks));
  return {
    path: place.path,
    config,
    snapshots: database,
    ...(vmsdPath === undefined ? {} : { vmsdPath }),
    disks: running,
    snapshotDisks,
    problems,
  };
}

/** Of the same name, else the only one of the folder. */
async function readDatabase(
  vmxPath: string,
  databases: readonly ResolvedPath[],
  store: FileStore,
  problems: Finding[],
): Promise<{ database: SnapshotDatabase; path: string | undefined }> {
  const wanted = vmxPath.replace(/\.(vmx|vmtx)$/i, '.vmsd').toLowerCase();
  const named = databases.find(({ path }) => path.toLowerCase() === wanted);
  const place = named ?? (databases.length === 1 ? databases[0] : undefined);
  if (place === undefined || place.size === 0) return { database: NO_SNAPSHOTS, path: place?.path };
  try {
    return { database: readSnapshotDatabase(await readDictionary(store, place)), path: place.path };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    problems.push(unreadable('SNAPSHOTS-UNREADABLE', place.path, error));
    return { database: NO_SNAPSHOTS, path: place.path };
  }
}

async function readDictionary(store: FileStore, place: ResolvedPath): Promise<Dictionary> {
  const file = await store.open(place.path, 'read');
  try {
    // One byte over the limit is read, so that parsing sees that there is more.
    const bytes = Buffer.alloc(Math.min(await file.size(), MAX_DICTIONARY_BYTES + 1));
    await file.readExactly(bytes, 0);
    return parseDictionary(bytes, place.path);
  } finally {
    await file.close();
  }
}

/** The identity of the disk a machine means, found as for a machine that is looked at alone. */
async function findNamed(
  fileName: string,
  place: MachinePlace,
  pool: DiskPool,
  before: number,
): Promise<string | undefined> {
  if (fileName === '' || fileName.includes('\0') || before >= MOST_NAMES) return undefined;
  const located = await locateDisk(place, fileName);
  return 'place' in located ? (await pool.at(located.place))?.identity : undefined;
}

function unreadable(code: string, path: string, error: VmdkError): Finding {
  return { code, severity: 'warning', message: withoutPath(error, path), path, repairable: false };
}

// Looks at a whole machine: its .vmx, its .vmsd, the chains of all its disks. Rule: reads only and closes everything;
// of a hostile .vmx nothing is opened that the path guard has not allowed.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { MAX_DICTIONARY_BYTES, parseDictionary, type Dictionary } from '../format/dictionary.ts';
import { NO_SNAPSHOTS, readSnapshotDatabase } from '../format/vmsd.ts';
import { readVmx } from '../format/vmx.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import type { FindLocksOptions } from '../storage/lock-state.ts';
import { isUrl } from '../storage/place-names.ts';
import { locateCompanion, locateFolder, type MachinePlace } from './locate-files.ts';
import { linksElsewhere, type Machine, type NamedDisk } from './machine.ts';
import { judgeMachine } from './judge-machine.ts';
import { lookAtPower } from './power-state.ts';
import { readDisks, readSnapshotDisks, type KnownChains } from './read-disks.ts';

export interface OpenMachineOptions extends ChainOptions, TaskOptions {
  /** How locks are judged. */
  locks?: FindLocksOptions | undefined;
}

/**
 * Looks at the machine whose .vmx is at `vmxPath`. Missing disks, broken chains and odd files are part of the answer.
 * @throws VmdkError when the .vmx, or a .vmsd that is there, cannot be read.
 */
export async function openMachine(vmxPath: string, options: OpenMachineOptions = {}): Promise<Machine> {
  throwIfAborted(options);
  const context = openContext({ ...options, onFinding: undefined });
  const { store } = context;
  if (isUrl(vmxPath)) {
    const hint = 'Copy its .vmx and the rest here; its disks may stay where they are (see --map).';
    throw new VmdkError('unsupported', 'machine-is-remote', 'a machine must be here', {
      path: vmxPath,
      hint,
    });
  }
  const place = await context.guard.assertNamedAllowed(vmxPath);
  const vmx = await readDictionary(store, place);
  const config = readVmx(vmx);
  const pathMap = options.pathMap ?? [];
  const alone: MachinePlace = { context, vmxPath: place.path, pathMap, folders: [] };
  const folder = posix.dirname(place.path);
  const workingFolder = await locateFolder(alone, config.workingDir);
  const machine = { ...alone, folders: workingFolder === folder ? [] : [workingFolder] };
  const { vmsd, vmsdPath } = await readVmsd(context, place.path);
  const snapshots = vmsd === undefined ? NO_SNAPSHOTS : readSnapshotDatabase(vmsd);
  const known: KnownChains = { machine, options, below: new Map(), findings: [] };
  const disks = await readDisks(known, config.devices);
  const snapshotDisks = new Map<number, readonly NamedDisk[]>();
  for (const snapshot of snapshots.snapshots) {
    snapshotDisks.set(snapshot.uid, await readSnapshotDisks(known, snapshot, disks));
  }
  const look = {
    store,
    vmxPath: place.path,
    namedPath: vmxPath,
    config,
    disks,
    workingFolder,
    options: options.locks ?? {},
  };
  const nvram = await locateCompanion(machine, config.nvram ?? `${stemOf(place.path)}.nvram`);
  const vmxf = await locateCompanion(machine, config.extendedConfigFile ?? `${stemOf(place.path)}.vmxf`);
  const found = {
    path: place.path,
    folder,
    name: config.displayName ?? stemOf(place.path),
    vmx,
    config,
    ...(vmsd === undefined ? {} : { vmsd }),
    snapshots,
    vmsdPath,
    ...(vmxf === undefined ? {} : { vmxfPath: vmxf.path }),
    ...(nvram === undefined ? {} : { nvramPath: nvram.path }),
    workingFolder,
    disks,
    snapshotDisks,
    ...(await lookAtPower(look)),
    isLinkedClone:
      snapshots.cloneOf.length > 0 ||
      disks.some((disk) => linksElsewhere(disk, [folder, workingFolder]).length > 0),
  };
  const findings: Finding[] = [...judgeMachine(found), ...known.findings];
  for (const finding of findings) options.onFinding?.(finding);
  return { ...found, findings };
}

async function readDictionary(store: FileStore, { path, size }: ResolvedPath): Promise<Dictionary> {
  if (size > MAX_DICTIONARY_BYTES) {
    throw new VmdkError('corrupt', 'dictionary-too-large', 'the file is too long for what its name says', {
      path,
      found: `${size} bytes`,
      expected: `at most ${MAX_DICTIONARY_BYTES} bytes`,
    });
  }
  const file = await store.open(path, 'read');
  try {
    const bytes = new Uint8Array(Math.min(await file.size(), MAX_DICTIONARY_BYTES + 1));
    await file.readExactly(bytes, 0);
    return parseDictionary(bytes, path);
  } finally {
    await file.close();
  }
}

/** The .vmsd beside the .vmx, by its name. A machine without one has no snapshots. */
async function readVmsd(
  context: OpenContext,
  vmxPath: string,
): Promise<{ vmsd?: Dictionary; vmsdPath: string }> {
  const vmsdPath = posix.join(posix.dirname(vmxPath), `${stemOf(vmxPath)}.vmsd`);
  try {
    const place = await context.guard.assertCompanionAllowed(vmsdPath, vmxPath);
    return { vmsd: await readDictionary(context.store, place), vmsdPath: place.path };
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return { vmsdPath };
    throw error;
  }
}

function stemOf(vmxPath: string): string {
  return posix.basename(vmxPath).replace(/\.[^.]*$/, '');
}

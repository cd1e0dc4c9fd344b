// The snapshots of a machine as it stands: who comes from whom, when, on which disks. Reads only.
import { throwIfAborted } from '../core/task.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { disksOf } from './find-snapshot.ts';
import { openMachine } from './open-machine.ts';
import type { SnapshotOptions } from './snapshot-types.ts';

export interface SnapshotListing {
  readonly schema: 'vmdkit-snapshots/v1';
  /** Real path of the .vmx. */
  readonly machine: string;
  /** Uid of the snapshot that the running state came from. */
  readonly current?: number;
  readonly 'needs-consolidation': boolean;
  readonly snapshots: readonly ListedSnapshot[];
}

export interface ListedSnapshot {
  readonly uid: number;
  readonly parent?: number;
  readonly name: string;
  readonly description: string;
  /** ISO 8601, UTC. */
  readonly created?: string;
  /** With the memory of the running machine. */
  readonly memory: boolean;
  readonly current: boolean;
  readonly disks: readonly ListedDisk[];
  /** The .vmx of linked clones that hang on it, as written. */
  readonly clones: readonly string[];
}

export interface ListedDisk {
  readonly node: string;
  /** As written. */
  readonly filename: string;
  /** Real path, when it is there. */
  readonly path?: string;
  /** Why it cannot be read. */
  readonly problem?: string;
}

/** @throws VmdkError when the machine cannot be looked at. */
export async function listSnapshots(
  vmxPath: string,
  options: SnapshotOptions = {},
): Promise<SnapshotListing> {
  throwIfAborted(options);
  const machine = await openMachine(vmxPath, { ...options, fs: storeFor(options.fs) });
  const { snapshots, currentUid, needConsolidate } = machine.snapshots;
  return {
    schema: 'vmdkit-snapshots/v1',
    machine: machine.path,
    ...(currentUid === undefined ? {} : { current: currentUid }),
    'needs-consolidation': needConsolidate,
    snapshots: snapshots.map((snapshot): ListedSnapshot => {
      const { uid, parentUid, displayName, description, createdAt, type, clones } = snapshot;
      return {
        uid,
        ...(parentUid === undefined ? {} : { parent: parentUid }),
        name: displayName,
        description,
        ...(createdAt === undefined ? {} : { created: createdAt }),
        memory: type !== undefined && type !== '0',
        current: uid === currentUid,
        disks: disksOf(machine, snapshot).map(({ node, fileName, path, problem }) => ({
          node,
          filename: fileName,
          ...(path === undefined ? {} : { path }),
          ...(problem === undefined ? {} : { problem: problem.message.split('\n')[0]! }),
        })),
        clones,
      };
    }),
  };
}

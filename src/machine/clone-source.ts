// The machine that clones are made of, at the point that is asked for: which of its disks clones stand on, which they
// get a copy of, and which they do without. Rule: looked at and proved, never changed, and refused with the way out.
import { usageError, VmdkError } from '../core/errors.ts';
import type { Snapshot } from '../format/vmsd.ts';
import { assertRoomForClones, examineBases, type CloneBase } from '../operations/clone-bases.ts';
import type { CloneWarning } from '../operations/clone-types.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { IndependentRule, MachineCloneOptions, MachineCloneRequest } from './machine-clone-types.ts';
import { findSnapshot } from './find-snapshot.ts';
import { assertMachineUsable, disksFor, type Machine, type MachineDisk, type NamedDisk } from './machine.ts';
import { openMachine } from './open-machine.ts';

export interface SourceDisk {
  /** `scsi0:0` */
  readonly node: string;
  readonly kind: 'linked' | 'copied';
  readonly base: CloneBase;
  /** The source writes to it when it runs again, unless it is frozen first. */
  readonly written: boolean;
  /** A freeze can fork it: it is a disk of the running point that takes part in snapshots. */
  readonly forkable: boolean;
}

export interface CloneSource {
  readonly machine: Machine;
  readonly snapshot: Snapshot | undefined;
  readonly disks: readonly SourceDisk[];
  readonly dropped: readonly { readonly node: string; readonly reason: string }[];
  /** Disks of the snapshot that the machine has no more: a clone's .vmx has to say that it has them. */
  readonly returned: readonly string[];
  readonly warnings: readonly CloneWarning[];
}

interface Wanted {
  readonly disk: NamedDisk;
  readonly kind: 'linked' | 'copied';
  readonly written: boolean;
  readonly forkable: boolean;
}

/**
 * @throws VmdkError `usage` for what does not go together; whatever `openMachine`, `findSnapshot` and
 * `assertMachineUsable` throw; `machine-without-disks` (refused); whatever opening a disk finds.
 */
export async function findCloneSource(
  store: FileStore,
  request: MachineCloneRequest,
  options: MachineCloneOptions,
): Promise<CloneSource> {
  assertFitting(request);
  const machine = await openMachine(request.machine, { ...options, fs: store });
  const snapshot = request.snapshot === undefined ? undefined : findSnapshot(machine, request.snapshot);
  const { wanted, dropped } = chooseDisks(machine, snapshot, request);
  assertMachineUsable(machine, {
    verb: 'clone',
    snapshot,
    disks: wanted.map(({ disk }) => disk),
    // What a snapshot leaves out is what the machine writes to while it runs.
    changes: request.freeze === true || (snapshot !== undefined && wanted.some(({ written }) => written)),
    accept: options.takeOver === true ? ['unclean'] : [],
    withoutIndependent: '--independent drop',
  });
  if (wanted.length === 0) throw withoutDisks(machine);
  const bases = await examineBases(
    store,
    // That it is usable means that each has a place.
    wanted.map(({ disk }) => disk.path!),
    options,
  );
  // A copy of a chain that is too deep is the way out of it.
  assertRoomForClones(bases.filter((_base, index) => wanted[index]!.kind === 'linked'));
  const present = new Set(machine.disks.map(({ node }) => node));
  return {
    machine,
    snapshot,
    disks: wanted.map(({ disk: { node }, kind, written, forkable }, index) => {
      return { node, kind, written, forkable, base: bases[index]! };
    }),
    dropped,
    returned: wanted.map(({ disk }) => disk.node).filter((node) => !present.has(node)),
    warnings: [...warningsOf(machine, dropped), ...memoryWarnings(machine, snapshot)],
  };
}

function assertFitting({ freeze, snapshot, full, independent }: MachineCloneRequest): void {
  if (freeze === true && snapshot !== undefined) {
    throw usageError(
      'a snapshot is frozen already: --freeze is for the running point',
      'Leave one of the two out.',
    );
  }
  if (freeze === true && full === true) {
    throw usageError('full copies stand on nothing of the source: there is nothing to freeze for them');
  }
  if (full === true && independent === 'link') {
    throw usageError('full copies have no linked disks: --independent is copy or drop for them');
  }
}

function chooseDisks(
  machine: Machine,
  snapshot: Snapshot | undefined,
  { full, independent = 'copy' }: MachineCloneRequest,
): { wanted: Wanted[]; dropped: { node: string; reason: string }[] } {
  const kind = full === true ? 'copied' : 'linked';
  // Some databases list an independent disk as well: it was not frozen all the same.
  const held =
    snapshot === undefined
      ? []
      : disksFor(machine, snapshot).filter((disk) => runningOn(machine, disk)?.device.independent !== true);
  const wanted: Wanted[] = held.map((disk) => {
    return { disk, kind, written: runningOn(machine, disk) !== undefined, forkable: false };
  });
  const dropped: { node: string; reason: string }[] = [];
  for (const disk of machine.disks) {
    const { node, device } = disk;
    if (held.some((other) => other.node === node)) continue;
    if (!device.independent && snapshot !== undefined) {
      dropped.push({ node, reason: `it was added after the snapshot "${snapshot.displayName}"` });
    } else if (device.independent && independent === 'drop') {
      dropped.push({ node, reason: `it is ${device.mode}, and such disks were to be left out` });
    } else {
      const own = device.independent ? kindOf(independent, kind) : kind;
      const written = device.mode !== 'independent-nonpersistent';
      wanted.push({ disk, kind: own, written, forkable: !device.independent });
    }
  }
  return { wanted, dropped };
}

/** The disk of the running point that is this very file. */
function runningOn({ disks }: Machine, { links }: NamedDisk): MachineDisk | undefined {
  const identity = links[0]?.identity;
  return identity === undefined ? undefined : disks.find((disk) => disk.links[0]?.identity === identity);
}

function kindOf(rule: IndependentRule, kind: 'linked' | 'copied'): 'linked' | 'copied' {
  return rule === 'link' ? kind : 'copied';
}

function warningsOf(
  { findings, snapshots, path }: Machine,
  dropped: readonly { node: string; reason: string }[],
): CloneWarning[] {
  const warnings: CloneWarning[] = dropped.map(({ node, reason }) => ({
    code: 'disk-left-out',
    message: `the clones do without ${node}: ${reason}`,
    path,
  }));
  for (const { code, severity, message, path: file } of findings) {
    if (severity === 'error') warnings.push({ code: code.toLowerCase(), message, path: file });
  }
  if (snapshots.needConsolidate) {
    warnings.push({
      code: 'needs-consolidation',
      message: 'VMware would consolidate this machine: do that first, or its disks change under the clones',
      path,
    });
  }
  return warnings;
}

function memoryWarnings({ vmsdPath }: Machine, snapshot: Snapshot | undefined): CloneWarning[] {
  if (snapshot?.type !== '1') return [];
  const message = `the snapshot "${snapshot.displayName}" was taken of a running machine, whose memory clones do not get: they start as after a loss of power`;
  return [{ code: 'snapshot-with-memory', message, path: vmsdPath }];
}

function withoutDisks({ path }: Machine): VmdkError {
  return new VmdkError('refused', 'machine-without-disks', 'there is nothing to clone', {
    path,
    found: 'no disks at that point',
    expected: 'at least one hard disk that is present',
    hint: 'Look at the machine with vmdkit info; a clone without disks is a copy of the .vmx.',
  });
}

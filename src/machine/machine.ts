// A whole virtual machine as facts: what its .vmx and .vmsd say and what stands on the medium, all files closed. Rule:
// pure; what is missing is data here, and becomes an error only when somebody needs it.
import { posix } from 'node:path';
import { VmdkError, type ErrorContext } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Dictionary } from '../format/dictionary.ts';
import type { Snapshot, SnapshotDatabase } from '../format/vmsd.ts';
import type { VmxDevice, VmxReading } from '../format/vmx.ts';
import type { LockFinding } from '../storage/lock-state.ts';

/** One link of a disk's chain. */
export interface MachineLink {
  /** Real path of the descriptor, or of the sparse file that holds it. */
  readonly path: string;
  /** Equal for two links exactly when they are the same file; empty when the file could not be looked up. */
  readonly identity: string;
  /** Canonical spelling; `custom` when it is no known word. */
  readonly createType: string;
  readonly cid: number | undefined;
  /** `NO_PARENT_CID` on a base. */
  readonly parentCid: number | undefined;
  /** The parent hint, as written. */
  readonly hint?: string;
  /** Sectors. */
  readonly capacity: number;
  /** The descriptor and every extent's file, each once. */
  readonly files: readonly string[];
  /** Bytes that these files occupy. */
  readonly occupied: number;
}

/** A disk's file as a machine or a snapshot names it. */
export interface NamedDisk {
  /** `scsi0:0`. */
  readonly node: string;
  /** As written. */
  readonly fileName: string;
  /** Real path; missing when it was not found or may not be opened. */
  readonly path?: string;
  /** Leaf first; as far as they could be looked at when there is a problem. */
  readonly links: readonly MachineLink[];
  /** What keeps it from being read, ready to be thrown. */
  readonly problem?: VmdkError;
  /** Found by its name beside the .vmx, not where the .vmx says. */
  readonly guessed?: boolean;
}

/** A hard disk that the machine has. */
export interface MachineDisk extends NamedDisk {
  readonly device: VmxDevice;
}

export interface MachinePower {
  readonly state: 'off' | 'suspended' | 'running' | 'unclean';
  /** One phrase each; none when it is off. */
  readonly reasons: readonly string[];
}

export interface Machine {
  /** Real path of the .vmx. */
  readonly path: string;
  /** The folder that holds it. */
  readonly folder: string;
  /** displayName, else the file's name without its extension. */
  readonly name: string;
  readonly vmx: Dictionary;
  readonly config: VmxReading;
  /** Missing when there is no .vmsd; an empty file is there. */
  readonly vmsd?: Dictionary;
  readonly snapshots: SnapshotDatabase;
  /** Where the .vmsd is or would be. */
  readonly vmsdPath: string;
  readonly vmxfPath?: string;
  readonly nvramPath?: string;
  /** Where snapshots put their files: the machine's folder unless workingDir says otherwise. */
  readonly workingFolder: string;
  /** The disks that are present, by controller and unit. */
  readonly disks: readonly MachineDisk[];
  /** The disks of each snapshot, by its uid. */
  readonly snapshotDisks: ReadonlyMap<number, readonly NamedDisk[]>;
  readonly power: MachinePower;
  /** On the .vmx and on every file of its disks. */
  readonly locks: readonly LockFinding[];
  /** It stands on disks of another machine. */
  readonly isLinkedClone: boolean;
  readonly findings: readonly Finding[];
}

/** What a machine is about to be used for. */
export interface MachinePurpose {
  /** A verb, for messages: `clone`, `snapshot`. */
  readonly verb: string;
  /** Only this snapshot's disks are read, which a running machine leaves alone too. */
  readonly snapshot?: Snapshot | undefined;
  /** The disks that are used, where they are not those of the snapshot or of the running point. */
  readonly disks?: readonly NamedDisk[] | undefined;
  /** Its own files will be changed, or disks used that it writes to: it must be off, also when a snapshot is named. */
  readonly changes?: boolean | undefined;
  /** How the user leaves independent disks out, which no snapshot keeps from being written. */
  readonly withoutIndependent?: string | undefined;
  /** What the user has taken on. */
  readonly accept?: readonly ('unclean' | 'suspended' | 'multi-writer' | 'vtpm')[] | undefined;
}

const RAW_TYPES: ReadonlySet<string> = new Set([
  'vmfsRawDeviceMap',
  'vmfsPassthroughRawDeviceMap',
  'vmfsRaw',
  'fullDevice',
  'partitionedDevice',
]);

/**
 * @throws VmdkError, each with its way out: `machine-encrypted` (unsupported); `machine-has-tpm`, `machine-running`,
 * `machine-suspended`, `machine-unclean`, `raw-disk`, `shared-disk` (refused); the disk's own error for one that is
 * missing or broken.
 */
export function assertMachineUsable(machine: Machine, purpose: MachinePurpose): void {
  const { path, config } = machine;
  const accept = purpose.accept ?? [];
  if (config.encrypted) {
    throw new VmdkError('unsupported', 'machine-encrypted', `cannot ${purpose.verb} an encrypted machine`, {
      path,
      found: 'encryption.keySafe or encryption.data',
      expected: 'a machine without encryption',
      hint: 'Decrypt it in VMware first (Settings > Options > Access Control, or a storage policy without encryption).',
    });
  }
  if (config.vtpm && !accept.includes('vtpm')) {
    throw refusal('machine-has-tpm', `cannot ${purpose.verb} a machine with a virtual TPM`, {
      path,
      found: 'a virtual TPM',
      expected: 'none: what is sealed in it would open in no other machine',
      hint: 'Remove the TPM from the machine in VMware first; suspend BitLocker in the guest before that.',
    });
  }
  if (purpose.snapshot === undefined || purpose.changes === true) assertAtRest(machine, purpose);
  for (const disk of purpose.disks ?? disksFor(machine, purpose.snapshot))
    assertDiskUsable(machine, disk, purpose);
}

/**
 * The disks of the running point, or of a snapshot, with their real paths.
 * @throws VmdkError of the first disk that is missing.
 */
export function disksAt(machine: Machine, snapshot?: Snapshot): { node: string; path: string }[] {
  return disksFor(machine, snapshot).map(({ node, path, problem }) => {
    if (path === undefined) throw problem!;
    return { node, path };
  });
}

/** Whether the path names a machine by its extension. */
export function isMachinePath(path: string): boolean {
  return /\.(vmx|vmtx)$/i.test(path);
}

/** The links below a disk that stand neither in these folders nor beside its leaf: they are other machines' disks. */
export function linksElsewhere(
  { links }: Pick<NamedDisk, 'links'>,
  folders: readonly string[],
): MachineLink[] {
  // The machine's own disk may stand anywhere; what is below it is another machine's when it stands elsewhere.
  const own = [...folders, ...links.slice(0, 1).map(({ path }) => posix.dirname(path))];
  return links.slice(1).filter(({ path }) => !own.some((folder) => path.startsWith(`${folder}/`)));
}

export function isRawDisk({ links }: Pick<NamedDisk, 'links'>): boolean {
  return links.some(({ createType }) => RAW_TYPES.has(createType));
}

/** The disks of the running point, or of a snapshot, found or not. */
export function disksFor(machine: Machine, snapshot: Snapshot | undefined): readonly NamedDisk[] {
  return snapshot === undefined ? machine.disks : (machine.snapshotDisks.get(snapshot.uid) ?? []);
}

function assertAtRest({ path, power }: Machine, purpose: MachinePurpose): void {
  const { verb, accept = [] } = purpose;
  const reasons = power.reasons.join('; ');
  const orElse = wayAround(purpose);
  if (power.state === 'running') {
    throw refusal('machine-running', `cannot ${verb} a machine that is in use`, {
      path,
      found: reasons,
      expected: 'a machine that is powered off',
      hint: `Shut it down first.${orElse}`,
    });
  }
  if (power.state === 'suspended' && !accept.includes('suspended')) {
    throw refusal('machine-suspended', `cannot ${verb} a suspended machine`, {
      path,
      found: reasons,
      expected: 'a machine that is powered off: what its memory holds is not yet on its disks',
      hint: `Resume it and shut it down.${orElse}`,
    });
  }
  if (power.state !== 'unclean' || accept.includes('unclean')) return;
  throw refusal('machine-unclean', `cannot ${verb} a machine that may still be in use`, {
    path,
    found: reasons,
    expected: 'a machine that was shut down',
    hint: `Make sure that no host runs it, then pass --force; or start it and shut it down.${orElse}`,
  });
}

/** What else can be done with a machine that is not off. */
function wayAround({ snapshot, changes, withoutIndependent }: MachinePurpose): string {
  if (changes !== true) return ' Or name a snapshot, which nobody writes to.';
  if (snapshot === undefined || withoutIndependent === undefined) return '';
  return ` Or leave its independent disks out (${withoutIndependent}): it writes to them while it runs, whatever snapshot is meant.`;
}

function assertDiskUsable(machine: Machine, disk: NamedDisk, purpose: MachinePurpose): void {
  const { verb, accept = [], withoutIndependent } = purpose;
  const { path } = machine;
  const { node } = disk;
  const device = machine.config.devices.find((other) => other.node === node);
  const leaveOut =
    device?.independent === true && withoutIndependent !== undefined
      ? ` Or leave it out (${withoutIndependent}).`
      : '';
  if (isRawDisk(disk)) {
    throw refusal('raw-disk', `cannot ${verb} a machine with a raw disk`, {
      path,
      field: node,
      found: `${disk.links.at(-1)!.createType} in ${disk.path ?? disk.fileName}`,
      expected: 'disks whose contents are in their files',
      hint: `Detach it in a copy of the .vmx, or copy the device into a disk of its own first (vmkfstools -i).${leaveOut}`,
    });
  }
  if (disk.problem !== undefined) throw disk.problem;
  const shared =
    device?.sharing ?? (device?.sharedBus === undefined ? undefined : `a ${device.sharedBus} shared bus`);
  if (shared === undefined || accept.includes('multi-writer')) return;
  throw refusal('shared-disk', `cannot ${verb} a machine with a disk that others write to`, {
    path,
    field: node,
    found: shared,
    expected: 'disks of its own',
    hint: `Detach ${node} in a copy of the .vmx: a shared disk belongs to all machines of its cluster.${leaveOut}`,
  });
}

function refusal(code: string, what: string, context: ErrorContext): VmdkError {
  return new VmdkError('refused', code, what, context);
}

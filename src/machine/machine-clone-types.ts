// What is asked of a run that clones a machine, planned for it and told of it. Plans and results are plain data for
// JSON: kebab-case keys, sizes in bytes, CIDs as 8 hex digits.
import type { TaskOptions } from '../core/task.ts';
import type { RandomBytes } from '../format/content-id.ts';
import type { BaseOptions } from '../operations/clone-bases.ts';
import type { CloneName, NameRequest } from '../operations/clone-names.ts';
import type { ClonedDisk, CloneProblem, CloneWarning, PlannedBase } from '../operations/clone-types.ts';
import type { Runs } from '../operations/run-owner.ts';
import type { FindLocksOptions } from '../storage/lock-state.ts';
import type { AnyFs } from '../storage/promises-file-store.ts';
import type { MediaRule } from './clone-vmx.ts';
import type { MachineLimit } from './limits.ts';

/**
 * What becomes of independent disks, which no snapshot holds and no freeze can fork: `copy` gives each clone a full
 * copy, `link` a delta above the source's own (for disks that nothing writes to), `drop` leaves them out.
 */
export type IndependentRule = 'copy' | 'link' | 'drop';

export interface MachineCloneRequest extends NameRequest {
  /** The .vmx of the machine to clone. */
  readonly machine: string;
  /** Folder for the clones, each in a folder of its own; made when it is missing. */
  readonly into: string;
  /** Name or uid of a snapshot; the running point of the machine, which must be off, unless told. */
  readonly snapshot?: string | undefined;
  /** Fork the running point first: the source goes on in deltas of its own, and its disks stay as they are. */
  readonly freeze?: boolean | undefined;
  /** Copies that stand alone in place of linked clones. */
  readonly full?: boolean | undefined;
  /** How a clone says where its source is. Default relative, so that both can move together. */
  readonly hint?: 'relative' | 'absolute' | undefined;
  /** createType of the clones' disks; unless told, what VMware would choose. */
  readonly type?: string | undefined;
  /** ISO images and floppies in the drives. Default `keep`. */
  readonly media?: MediaRule | undefined;
  /** Default `copy`. */
  readonly independent?: IndependentRule | undefined;
  /** A clone that cannot be made does not keep the others from being made. Default: all or none. */
  readonly keepGoing?: boolean | undefined;
}

export interface MachineCloneOptions extends BaseOptions, TaskOptions {
  /** A FileStore, or anything shaped like node:fs/promises. Default: the real file system. */
  fs?: AnyFs | undefined;
  /** Hand out results only once they would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Settle interrupted runs of other hosts too, and clone a machine that may not have been shut down. */
  takeOver?: boolean | undefined;
  /** Source of UUIDs and content ids. Default: the system's. */
  random?: RandomBytes | undefined;
  /** Called with what will be done, when it is certain and before any of it is. */
  onPlan?: ((plan: MachineClonePlan) => void) | undefined;
  /** Who is running; this process on this machine unless told. */
  runs?: Runs | undefined;
  /** How locks are judged. */
  locks?: FindLocksOptions | undefined;
}

/** A disk of a clone. */
export interface MachineClonedDisk extends Omit<ClonedDisk, 'hint' | 'cid' | 'parent-cid'> {
  /** `scsi0:0` */
  readonly node: string;
  readonly kind: 'linked' | 'copied';
  /** These three of a linked one; a copy gets a CID of its own when it is written. */
  readonly hint?: string;
  readonly cid?: string;
  readonly 'parent-cid'?: string;
}

export interface PlannedSourceDisk extends PlannedBase {
  readonly node: string;
  /** What clones get of it. */
  readonly kind: 'linked' | 'copied';
}

/** The source's own new delta when it is frozen. */
export interface PlannedFork {
  readonly node: string;
  /** The disk that is frozen. */
  readonly base: string;
  /** What the source goes on with. */
  readonly path: string;
  readonly type: string;
  readonly files: readonly string[];
}

export interface PlannedAddress {
  /** `ethernet0` */
  readonly card: string;
  readonly address: string;
  readonly type: 'generated' | 'static';
}

export interface PlannedMachine {
  readonly name: string;
  /** `present`: an interrupted run of the same command has made it. */
  readonly status: 'planned' | 'present' | 'refused';
  /** Its own folder, which holds nothing else. */
  readonly folder: string;
  readonly vmx: string;
  readonly 'display-name': string;
  /** Only when it was given. */
  readonly annotation?: string;
  /** As uuid.bios has it. */
  readonly uuid: string;
  readonly macs: readonly PlannedAddress[];
  readonly disks: readonly MachineClonedDisk[];
  /** All its files: what deleting it would remove, and no more. */
  readonly files: readonly string[];
  readonly 'bytes-needed': number;
  readonly error?: CloneProblem;
  readonly input?: CloneName;
}

export interface MachineClonePlan {
  readonly schema: 'vmdkit-machine-clone-plan/v1';
  /** Real path of the source's .vmx. */
  readonly source: string;
  readonly point:
    | { readonly kind: 'running-point' }
    | { readonly kind: 'snapshot'; readonly uid: number; readonly name: string };
  /** Real path. */
  readonly into: string;
  readonly kind: 'linked' | 'full';
  readonly hint: 'relative' | 'absolute';
  /** createType of the clones' disks, only when it was asked for. */
  readonly type?: string;
  readonly media: MediaRule;
  readonly independent: IndependentRule;
  readonly 'keep-going': boolean;
  readonly disks: readonly PlannedSourceDisk[];
  /** Disks that the clones do not have, and why. */
  readonly dropped: readonly { readonly node: string; readonly reason: string }[];
  /** Only when the source is frozen. */
  readonly freeze?: readonly PlannedFork[];
  readonly clones: readonly PlannedMachine[];
  readonly totals: {
    readonly clones: number;
    readonly files: number;
    /** What all files made will occupy, in file-system blocks of 4 KiB; of copies at most this. */
    readonly 'bytes-needed': number;
    /** As many full copies, thin and thick. */
    readonly 'thin-copies': number;
    readonly 'thick-copies': number;
    readonly 'saved-against-thin': number;
    readonly 'saved-against-thick': number;
  };
  readonly limits: readonly MachineLimit[];
  readonly warnings: readonly CloneWarning[];
}

/** One clone, told when it is done, or planned. */
export interface MachineCloneResult extends Partial<Omit<PlannedMachine, 'status' | 'name'>> {
  readonly schema: 'vmdkit-machine-clone/v1';
  readonly name: string;
  readonly status: 'created' | 'failed' | 'planned';
  /** Made by an interrupted run of the same request. */
  readonly recovered?: boolean;
}

/** A clone of a plan in the shape of a result; `failure` is what kept it from being made. */
export function machineResult(
  { status, error: refusal, ...clone }: PlannedMachine,
  made: 'created' | 'planned',
  failure?: CloneProblem,
): MachineCloneResult {
  const { name, input } = clone;
  const head = { schema: 'vmdkit-machine-clone/v1', name } as const;
  const error = refusal ?? failure;
  if (error !== undefined)
    return { ...head, ...(input === undefined ? {} : { input }), status: 'failed', error };
  if (status === 'present') return { ...head, ...clone, status: 'created', recovered: true };
  return { ...head, ...clone, status: made };
}

/** The deltas that the source goes on in; none when no clone is left to be made, for then it stays as it is. */
export function forksOf({ freeze = [], clones }: MachineClonePlan): readonly PlannedFork[] {
  return clones.some(({ status }) => status === 'planned') ? freeze : [];
}

/** The request that gives this plan again, with the same identities. */
export function requestOfMachinePlan(plan: MachineClonePlan): MachineCloneRequest {
  const { point } = plan;
  return {
    machine: plan.source,
    into: plan.into,
    ...(point.kind === 'snapshot' ? { snapshot: `uid:${point.uid}` } : {}),
    freeze: plan.freeze !== undefined,
    full: plan.kind === 'full',
    hint: plan.hint,
    ...(plan.type === undefined ? {} : { type: plan.type }),
    media: plan.media,
    independent: plan.independent,
    keepGoing: plan['keep-going'],
    names: plan.clones.map(({ name, input, uuid }) => ({ ...input, name, uuid })),
  };
}

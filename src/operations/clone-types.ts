// What is asked of a clone run, planned for it and told of it. Plans and results are plain data for JSON: kebab-case
// keys, sizes in bytes, CIDs as 8 hex digits.
import { VmdkError, type ErrorKind } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { RandomBytes } from '../format/content-id.ts';
import type { AnyFs } from '../storage/promises-file-store.ts';
import type { BaseOptions } from './clone-bases.ts';
import type { CloneName, NameRequest } from './clone-names.ts';
import type { Runs } from './run-owner.ts';

/** `files`: `INTO/NAME.vmdk`. `folders`: `INTO/NAME/NAME.vmdk`, a folder for each clone. */
export type CloneLayout = 'files' | 'folders';

export interface CloneRequest extends NameRequest {
  /** Disks to clone; each clone has a delta above each of them. */
  readonly bases: readonly string[];
  /** Folder for the clones; made when it is missing. */
  readonly into: string;
  /**
   * Unless told, clones stand as their base does: a base in a folder of its own below `into`, as on a datastore,
   * gives `folders`, and so do several bases; else `files`.
   */
  readonly layout?: CloneLayout | undefined;
  /** How a clone says where its base is. Default relative, so that both can move together. */
  readonly hint?: 'relative' | 'absolute' | undefined;
  /** createType of the deltas; unless told, what VMware would choose for the base. */
  readonly type?: string | undefined;
  /** A clone that cannot be made does not keep the others from being made. Default: all or none. */
  readonly keepGoing?: boolean | undefined;
}

export interface CloneOptions extends BaseOptions, TaskOptions {
  /** A FileStore, or anything shaped like node:fs/promises. Default: the real file system. */
  fs?: AnyFs | undefined;
  /** Hand out results only once they would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Settle interrupted runs of other hosts too: the caller knows that they have ended. */
  takeOver?: boolean | undefined;
  /** Source of the long content ids. Default: the system's. */
  random?: RandomBytes | undefined;
  /** Called with what will be done, when it is certain and before any of it is. */
  onPlan?: ((plan: ClonePlan) => void) | undefined;
  /** Who is running; this process on this machine unless told. */
  runs?: Runs | undefined;
}

export interface ClonedDisk {
  /** The file that opens the disk. */
  readonly path: string;
  readonly base: string;
  /** createType. */
  readonly type: string;
  /** parentFileNameHint, as written. */
  readonly hint: string;
  readonly cid: string;
  readonly 'parent-cid': string;
  readonly files: readonly string[];
}

export interface PlannedBase {
  readonly path: string;
  readonly cid: string;
  readonly 'create-type': string;
  readonly 'virtual-size': number;
  /** What the files of the base and of all disks below it occupy. */
  readonly 'occupied-size': number;
  /** Disks in its chain, itself included; a clone has one more. */
  readonly links: number;
}

export interface CloneWarning {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
}

/** An error as data. */
export interface CloneProblem extends CloneWarning {
  readonly kind: ErrorKind;
  /** The way out. */
  readonly hint?: string;
}

export interface PlannedClone {
  readonly name: string;
  /** `present`: an interrupted run of the same command has made it, or will have when it is finished first. */
  readonly status: 'planned' | 'present' | 'refused';
  readonly disks: readonly ClonedDisk[];
  readonly 'bytes-needed': number;
  readonly error?: CloneProblem;
  /** What was given as the name, when that was more than a name. */
  readonly input?: CloneName;
}

export interface ClonePlan {
  readonly schema: 'vmdkit-clone-plan/v1';
  /** Real path. */
  readonly into: string;
  readonly layout: CloneLayout;
  readonly hint: 'relative' | 'absolute';
  /** Only when it was asked for. */
  readonly type?: string;
  readonly 'keep-going': boolean;
  readonly bases: readonly PlannedBase[];
  readonly clones: readonly PlannedClone[];
  readonly totals: {
    /** Clones that will be made. */
    readonly clones: number;
    readonly files: number;
    /** What their files will occupy, in file-system blocks of 4 KiB. */
    readonly 'bytes-needed': number;
    /** As many full copies, thin: each as large as what the files of its base's chain occupy. */
    readonly 'thin-copies': number;
    /** As many full copies, thick: each of the virtual size. */
    readonly 'thick-copies': number;
    readonly 'saved-against-thin': number;
    readonly 'saved-against-thick': number;
  };
  readonly warnings: readonly CloneWarning[];
}

/**
 * One clone, told when it is done (or planned, by `plannedResult`): the facts of its first, mostly only, disk, and of
 * all its disks when there are several.
 */
export interface CloneResult extends Partial<ClonedDisk> {
  readonly schema: 'vmdkit-clone/v1';
  readonly name: string;
  readonly input?: CloneName;
  readonly status: 'created' | 'failed' | 'planned';
  /** Made by an interrupted run of the same request. */
  readonly recovered?: boolean;
  readonly disks?: readonly ClonedDisk[];
  /** Of a planned clone. */
  readonly 'bytes-needed'?: number;
  readonly error?: CloneProblem;
}

/** A clone of a plan in the shape of a result. */
export function plannedResult(clone: PlannedClone): CloneResult {
  const result = doneResult(clone, undefined);
  if (clone.status !== 'planned') return result;
  return { ...result, status: 'planned', 'bytes-needed': clone['bytes-needed'] };
}

/** The result of a clone that was carried out; `failure` is what kept it from being made. */
export function doneResult(clone: PlannedClone, failure: CloneProblem | undefined): CloneResult {
  const { name, disks, status, input, error = failure } = clone;
  const head = { schema: 'vmdkit-clone/v1', name, ...(input === undefined ? {} : { input }) } as const;
  if (error !== undefined) return { ...head, status: 'failed', error };
  return {
    ...head,
    status: 'created',
    ...(status === 'present' ? { recovered: true } : {}),
    ...disks[0]!,
    ...(disks.length > 1 ? { disks } : {}),
  };
}

/** @throws whatever is no VmdkError: a programmer's error, or the reason of an abort. */
export function problemOf(error: unknown): CloneProblem {
  if (!(error instanceof VmdkError)) throw error;
  const { code, kind, context } = error;
  const { path, hint } = context;
  // The other lines are the hint and what was tried.
  const message = error.message.split('\n')[0]!;
  return { code, kind, message, ...(path && { path }), ...(hint && { hint }) };
}

/** The request that gives this plan again. */
export function requestOfPlan(plan: ClonePlan): CloneRequest {
  return {
    bases: plan.bases.map(({ path }) => path),
    into: plan.into,
    names: plan.clones.map(({ name, input }) => input ?? name),
    layout: plan.layout,
    hint: plan.hint,
    type: plan.type,
    keepGoing: plan['keep-going'],
  };
}

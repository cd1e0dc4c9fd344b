// How disks and chains are opened: what may be touched, and which oddities the caller accepts. Everything lawful
// works without options; each option states one risk.
import type { OnFinding } from '../core/finding.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard, type PathGuard } from '../storage/path-guard.ts';
import { storeFor, type AnyFs } from '../storage/promises-file-store.ts';

export interface OpenOptions {
  /** A FileStore, or anything shaped like node:fs/promises (memfs). Default: the real file system. */
  fs?: AnyFs | undefined;
  /** Folders that disks may lead into besides those the default rule allows. */
  allow?: readonly string[] | undefined;
  /** Folder that nothing outside of is opened, not even the disk that is named. */
  confine?: string | undefined;
  /** NOACCESS extents: `refuse` (default) or read as `zeros`. */
  noAccess?: 'refuse' | 'zeros' | undefined;
  /** A seSparse journal that was never replayed: `refuse` (default), or `ignore` it and read the tables as they are. */
  journal?: 'refuse' | 'ignore' | undefined;
  /**
   * Extents and parents that are missing, cut short or damaged beyond use: `refuse` (default), or `open` the rest; what
   * they had is then an error when it is read; or the rest with `fill`: what they had then reads as that byte, and its
   * runs say that they are `lost`. Reading only.
   */
  damaged?: 'refuse' | 'open' | { readonly fill: number } | undefined;
  /** Update only: drop the disk's change tracking, which a write from outside makes stale. */
  dropChangeTracking?: boolean | undefined;
  /** Update only: a disk that others have locked: `refuse` (default), or `ignore` the locks. */
  locked?: 'refuse' | 'ignore' | undefined;
  /** Called for everything odd that reading got past. */
  onFinding?: OnFinding | undefined;
}

/** Options with their defaults in place, shared by every link of a chain. */
export interface OpenContext {
  readonly store: FileStore;
  readonly guard: PathGuard;
  readonly noAccess: 'refuse' | 'zeros';
  readonly journal: 'refuse' | 'ignore';
  readonly damaged: 'refuse' | 'open' | { readonly fill: number };
  readonly dropChangeTracking: boolean;
  readonly locked: 'refuse' | 'ignore';
  readonly onFinding: OnFinding;
  /**
   * Update only: the disk keeps its content id although it is written, since what stands on it hides every sector that
   * changes. Never an option of callers: they cannot know that.
   */
  readonly keepContentId?: boolean;
  readonly memory: ExtentMemory;
}

export function openContext(options: OpenOptions): OpenContext {
  const store = storeFor(options.fs);
  return {
    store,
    guard: createPathGuard({ store, allow: options.allow, confine: options.confine }),
    noAccess: options.noAccess ?? 'refuse',
    journal: options.journal ?? 'refuse',
    damaged: options.damaged ?? 'refuse',
    dropChangeTracking: options.dropChangeTracking ?? false,
    locked: options.locked ?? 'refuse',
    onFinding: options.onFinding ?? (() => undefined),
    memory: new ExtentMemory(),
  };
}

// Taking a lock on a file as VMware and QEMU do, so that neither opens what is being changed here. Rule: a lock of
// others is never removed, however dead; only what a vmdkit of this machine left that is gone is cleared. Protocol of
// the lock folder after open-vm-tools' fileLockPrimitive.c; bytes of QEMU's after its block/file-posix.c.
import { randomInt } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { pause } from '../core/task.ts';
import type { FileStore, RandomAccessFile, WritableFile } from './file-store.ts';
import { lockedError } from './lock-errors.ts';
import { claimName, executionIdOf, machineIdOf, parseClaim } from './lock-claims.ts';
import { ENTERING_MS, findLocks, isDeadMark, type LockFinding } from './lock-state.ts';
import { createNodeLockHost, type LockHost } from './node-lock-host.ts';
import { clearOwn, entryPaths, membersIn, quietly } from './own-locks.ts';
import { qemuUse } from './qemu-lock.ts';
import { legible } from './store-errors.ts';
import { encodeLockMember } from './vmware-lock.ts';

export interface HeldLock {
  /** Real path of the locked file. */
  readonly path: string;
  /** Gives the lock back; once is enough, again does nothing. */
  release(): Promise<void>;
}

export interface TakeLockOptions {
  /** `exclusive` (default): nobody else may use the file; `shared`: nobody else may write it. */
  mode?: 'exclusive' | 'shared' | undefined;
  /** What others hold: `refuse` (default), or `ignore` it and take our own beside it. */
  others?: 'refuse' | 'ignore' | undefined;
  /** This machine unless given. */
  host?: LockHost | undefined;
  /** Ends the wait for a mark that somebody may be about to give up; a lock that is had is not given back by it. */
  signal?: AbortSignal | undefined;
}

/** Member numbers are five digits of a 16-bit number. */
const MEMBER_NUMBERS = 65536;
const TRIES = 32;
/** Between two looks, at most: two that wait for each other are not to go on together. */
const PAUSE_MS = 200;
const MOST_WAIT_MS = ENTERING_MS + 1000;
/** What a claim says once its holder has made its mark; any content would do. */
const ENTERED = Buffer.from('entered\n');

/**
 * Locks a file until `release`. Where the folder cannot be written, or the system has no locks of QEMU's kind, that
 * half is left out: VMware could not take it there either.
 * @throws VmdkError `disk-locked` (refused) when somebody else has it, or may have; `file-missing`.
 */
export async function takeLock(
  store: FileStore,
  path: string,
  options: TakeLockOptions = {},
): Promise<HeldLock> {
  const { mode = 'exclusive', others = 'refuse', host = createNodeLockHost(), signal } = options;
  const { path: real } = await store.resolve(path);
  const folder = `${real}.lck`;
  const linked = await leadsElsewhere(store, folder);
  if (linked !== undefined && others === 'refuse') throw lockedError(real, linked);
  if (linked === undefined) await clearLeft(store, folder, host, { others, signal });
  const assertFree = async (ours?: string): Promise<void> => {
    if (others === 'ignore') return;
    const found = await findLocks(store, path, { host });
    const lock = found.find((one) => inTheWay(one, mode) && one.path !== ours && !isDeadMark(one));
    if (lock !== undefined) throw lockedError(real, lock);
  };
  await assertFree();
  const member = linked === undefined ? await enter(store, folder, mode, host) : undefined;
  let qemu: RandomAccessFile | undefined;
  try {
    // Of two who entered at once at least one sees the other here, and gives way.
    await assertFree(member);
    qemu = await lockForQemu(store, real, mode, others);
  } catch (error) {
    await leave(store, folder, member);
    throw error;
  }
  return heldLock(store, { path: real, folder, member, qemu });
}

/** What a vmdkit left that was killed goes first, and a mark that is most likely its own is waited for. */
async function clearLeft(
  store: FileStore,
  folder: string,
  host: LockHost,
  { others, signal }: Pick<TakeLockOptions, 'others' | 'signal'>,
): Promise<void> {
  const end = Date.now() + MOST_WAIT_MS;
  while ((await clearOwn(store, folder, host)) && others === 'refuse' && Date.now() < end)
    await pause(PAUSE_MS * Math.random(), { signal });
}

/** Nothing is ever made behind a link: it is no lock folder that VMware made. */
async function leadsElsewhere(store: FileStore, folder: string): Promise<LockFinding | undefined> {
  if (!(await store.exists(folder))) return undefined;
  const { path } = await store.resolve(folder);
  if (path === folder) return undefined;
  const detail = `a lock folder is expected here, this is a link to ${legible(path)}`;
  return { kind: 'old-style-lck', holder: '', mode: 'exclusive', state: 'unknown', path: folder, detail };
}

function inTheWay({ mode: theirs }: LockFinding, mode: 'exclusive' | 'shared'): boolean {
  return mode === 'exclusive' || theirs === 'exclusive';
}

function heldLock(
  store: FileStore,
  held: { path: string; folder: string; member: string | undefined; qemu: RandomAccessFile | undefined },
): HeldLock {
  let releasing: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    try {
      await held.qemu?.close();
    } finally {
      await leave(store, held.folder, held.member);
    }
  };
  return { path: held.path, release: () => (releasing ??= release()) };
}

/** Errors of a folder in which no lock can be made by anybody. */
const NO_LOCKS_HERE = new Set(['file-not-writable', 'read-only-file-system', 'not-a-folder']);

/** Our member file; undefined where the folder cannot be written, or is no folder. */
async function enter(
  store: FileStore,
  folder: string,
  mode: 'exclusive' | 'shared',
  host: LockHost,
): Promise<string | undefined> {
  try {
    await makeFolderIfMissing(store, folder);
    const entry = await makeEntry(store, folder, host);
    if (entry === undefined) return undefined;
    const { entering, making, member, claim } = entry;
    try {
      const members = await membersIn(store, folder);
      const number = members.reduce((most, one) => Math.max(most, one.member.number ?? 0), 0) + 1;
      const [machineId, executionId] = [machineIdOf(host), executionIdOf(host)];
      const exclusive = mode === 'exclusive';
      const file = await store.create(making);
      try {
        await file.write(encodeLockMember({ machineId, executionId, number, exclusive, folder }), 0);
      } finally {
        await file.close();
      }
      await store.rename(making, member);
    } catch (error) {
      await quietly(store.remove(making));
      await giveUp(store, entry);
      throw error;
    }
    await quietly(store.removeFolder(entering));
    await quietly(store.remove(claim));
    return member;
  } catch (error) {
    await quietly(store.removeFolder(folder));
    if (!isVmdkError(error)) throw error;
    const { kind, code, what } = error;
    if (NO_LOCKS_HERE.has(code)) return undefined;
    throw new VmdkError(kind, code, `no lock can be taken: ${what}`, { path: folder }, error);
  }
}

interface Entry {
  /** The folder that says: somebody is about to come. */
  readonly entering: string;
  readonly making: string;
  readonly member: string;
  /** The file that says who. */
  readonly claim: string;
}

async function makeEntry(store: FileStore, folder: string, host: LockHost): Promise<Entry | undefined> {
  for (let tried = 0; tried < TRIES; tried++) {
    const digits = String(randomInt(MEMBER_NUMBERS)).padStart(5, '0');
    const entry = { ...entryPaths(folder, digits), claim: posix.join(folder, claimName(host, digits)) };
    if (!(await beginEntry(store, folder, entry))) continue;
    const others = new Set(await store.list(folder));
    others.delete(posix.basename(entry.claim));
    const taken = [...others].some((name) => {
      const path = posix.join(folder, name);
      return path === entry.making || path === entry.member || parseClaim(name)?.digits === digits;
    });
    if (!taken) return entry;
    await giveUp(store, entry);
  }
  return undefined;
}

/** The mark last: as long as it is there, nobody else can have the number that the claim says is ours. */
async function giveUp(store: FileStore, { claim, entering }: Entry): Promise<void> {
  await quietly(store.remove(claim));
  await quietly(store.removeFolder(entering));
}

/** Claims a number and makes its mark. False when somebody has it, or left and took the folder with him. */
async function beginEntry(store: FileStore, folder: string, { claim, entering }: Entry): Promise<boolean> {
  const again = async (error: unknown): Promise<false> => {
    if (isVmdkError(error, 'file-missing')) await makeFolderIfMissing(store, folder);
    else if (!isVmdkError(error, 'file-exists')) throw error;
    return false;
  };
  let file: WritableFile;
  try {
    file = await store.create(claim);
  } catch (error) {
    return again(error);
  }
  let entered = false;
  try {
    await store.makeFolder(entering);
    entered = true;
    await file.write(ENTERED, 0);
    return true;
  } catch (error) {
    await quietly(store.remove(claim));
    if (entered) await quietly(store.removeFolder(entering));
    return await again(error);
  } finally {
    await file.close();
  }
}

async function makeFolderIfMissing(store: FileStore, folder: string): Promise<void> {
  try {
    await store.makeFolder(folder);
  } catch (error) {
    if (!isVmdkError(error, 'file-exists')) throw error;
  }
}

async function leave(store: FileStore, folder: string, member: string | undefined): Promise<void> {
  if (member === undefined) return;
  try {
    await store.remove(member);
  } catch (error) {
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
  // Others may be in it.
  await quietly(store.removeFolder(folder));
}

/** The open file that holds QEMU's bytes; undefined where there are no such locks. */
async function lockForQemu(
  store: FileStore,
  path: string,
  mode: 'exclusive' | 'shared',
  others: 'refuse' | 'ignore',
): Promise<RandomAccessFile | undefined> {
  const file = await store.open(path, 'read');
  try {
    const { held, contested } = qemuUse(mode);
    const outcome = await file.lockBytes?.(held, contested);
    if (outcome === 'held' || (outcome === 'contested' && others === 'ignore')) return file;
    await file.close();
    if (outcome !== 'contested') return undefined;
  } catch (error) {
    await quietly(file.close());
    throw error;
  }
  throw lockedError(path, {
    kind: 'qemu-ofd',
    holder: '',
    mode: 'exclusive',
    state: 'live',
    path,
    detail: 'QEMU, or another vmdkit, has it open',
  });
}

// Taking a lock on a file as VMware and QEMU do, so that neither opens what is being changed here. Rule: a lock of
// others is never removed, however dead; only what a vmdkit of this machine left that is gone is cleared. Protocol of
// the lock folder after open-vm-tools' fileLockPrimitive.c; bytes of QEMU's after its block/file-posix.c.
import { randomInt } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore, RandomAccessFile } from './file-store.ts';
import { lockedError } from './lock-errors.ts';
import { findLocks, isDeadMark, type LockFinding } from './lock-state.ts';
import { createNodeLockHost, type LockHost } from './node-lock-host.ts';
import { qemuUse } from './qemu-lock.ts';
import { legible } from './store-errors.ts';
import { encodeLockMember, MEMBER_BYTES, parseLockMember, type LockMember } from './vmware-lock.ts';

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
}

/** Member numbers are five digits of a 16-bit number. */
const MEMBER_NUMBERS = 65536;
const TRIES = 32;

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
  const { mode = 'exclusive', others = 'refuse', host = createNodeLockHost() } = options;
  const { path: real } = await store.resolve(path);
  const folder = `${real}.lck`;
  const linked = await leadsElsewhere(store, folder);
  if (linked !== undefined && others === 'refuse') throw lockedError(real, linked);
  if (linked === undefined) await clearOwn(store, folder, host);
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

/** Our member file; undefined where the folder cannot be written, or is no folder. */
async function enter(
  store: FileStore,
  folder: string,
  mode: 'exclusive' | 'shared',
  host: LockHost,
): Promise<string | undefined> {
  try {
    await makeFolderIfMissing(store, folder);
    const entry = await makeEntry(store, folder);
    if (entry === undefined) return undefined;
    const { entering, making, member } = entry;
    try {
      const number = (await highestNumber(store, folder)) + 1;
      const started = host.process(process.pid).started ?? 0;
      const executionId = `${process.pid}-${started}(vmdkit)`;
      const exclusive = mode === 'exclusive';
      const machineId = host.id ?? 'vmdkit';
      const file = await store.create(making);
      try {
        await file.write(encodeLockMember({ machineId, executionId, number, exclusive, folder }), 0);
      } finally {
        await file.close();
      }
      await store.rename(making, member);
    } catch (error) {
      await quietly(store.remove(making));
      throw error;
    } finally {
      await quietly(store.removeFolder(entering));
    }
    return member;
  } catch (error) {
    await quietly(store.removeFolder(folder));
    if (isVmdkError(error, 'file-not-writable', 'read-only-file-system', 'not-a-folder')) return undefined;
    throw error;
  }
}

interface Entry {
  /** The folder that says: somebody is about to come. */
  readonly entering: string;
  readonly making: string;
  readonly member: string;
}

async function makeEntry(store: FileStore, folder: string): Promise<Entry | undefined> {
  for (let tried = 0; tried < TRIES; tried++) {
    const digits = String(randomInt(MEMBER_NUMBERS)).padStart(5, '0');
    const [entering, making, member] = ['D', 'E', 'M'].map((kind) =>
      posix.join(folder, `${kind}${digits}.lck`),
    ) as [string, string, string];
    try {
      await store.makeFolder(entering);
    } catch (error) {
      // Somebody has this number, or left and took the folder with him.
      if (isVmdkError(error, 'file-missing')) await makeFolderIfMissing(store, folder);
      else if (!isVmdkError(error, 'file-exists')) throw error;
      continue;
    }
    if (!(await store.exists(member))) return { entering, making, member };
    await quietly(store.removeFolder(entering));
  }
  return undefined;
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

/** The highest number that anyone in the folder drew. */
async function highestNumber(store: FileStore, folder: string): Promise<number> {
  const members = await membersIn(store, folder);
  return members.reduce((highest, { member }) => Math.max(highest, member.number ?? 0), 0);
}

/** Clears what a vmdkit of this machine left on a file when it was killed; the file itself may be gone. */
async function clearOwnLocks(store: FileStore, path: string, host: LockHost): Promise<void> {
  const folder = `${path}.lck`;
  if (!(await store.exists(folder)) || (await store.resolve(folder)).path !== folder) return;
  await clearOwn(store, folder, host);
  // A folder that is empty holds no lock, whoever made it.
  await quietly(store.removeFolder(folder));
}

/** What a vmdkit of this machine left when it was killed. */
async function clearOwn(store: FileStore, folder: string, host: LockHost): Promise<void> {
  if (host.id === undefined || !(await store.exists(folder))) return;
  for (const { path, member } of await membersIn(store, folder)) {
    if (member.machineId !== host.id) continue;
    const [, pid, started] = /^(\d+)-(\d+)\(vmdkit\)$/.exec(member.executionId) ?? [];
    if (pid === undefined) continue;
    const { alive, started: now } = host.process(Number(pid));
    const another = now !== undefined && started !== '0' && String(now) !== started;
    if (alive && !another) continue;
    // Killed while it entered, it left this one too.
    await quietly(store.removeFolder(posix.join(folder, posix.basename(path).replace(/^./, 'D'))));
    await quietly(leave(store, folder, path));
  }
}

/** The same for every file of a folder. */
export async function clearOwnLocksIn(
  store: FileStore,
  folder: string,
  host = createNodeLockHost(),
): Promise<void> {
  for (const name of await store.list(folder)) {
    if (!name.endsWith('.lck')) continue;
    await clearOwnLocks(store, posix.join(folder, name.slice(0, -'.lck'.length)), host);
  }
}

async function membersIn(store: FileStore, folder: string): Promise<{ path: string; member: LockMember }[]> {
  const found: { path: string; member: LockMember }[] = [];
  if ((await store.resolve(folder)).kind !== 'folder') return found;
  for (const name of (await store.list(folder)).slice(0, 1024)) {
    if (!/^[ME]\d{5}\.lck$/.test(name)) continue;
    const path = posix.join(folder, name);
    try {
      const file = await store.open(path, 'read');
      try {
        if ((await file.size()) !== MEMBER_BYTES) continue;
        const bytes = new Uint8Array(MEMBER_BYTES);
        await file.readExactly(bytes, 0);
        const member = parseLockMember(bytes);
        if (member !== undefined) found.push({ path, member });
      } finally {
        await file.close();
      }
    } catch (error) {
      // Gone meanwhile, or not for us to read: then it is not ours.
      if (!isVmdkError(error)) throw error;
    }
  }
  return found;
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

/** For tidying where the first failure is what the caller must hear of. */
async function quietly(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isVmdkError(error)) throw error;
  }
}

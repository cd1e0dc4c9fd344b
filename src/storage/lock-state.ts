// Who holds a lock on a disk's file: VMware's lock folders, ESX's lock files on NFS, QEMU's locks in the kernel.
// Reads only: a lock is never taken and never removed here, however dead its owner looks (see take-lock.ts).
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore, ResolvedPath } from './file-store.ts';
import { isOwnAndGone, parseClaim } from './lock-claims.ts';
import { createNodeLockHost, type LockHost } from './node-lock-host.ts';
import { isUrl } from './place-names.ts';
import { findQemuLock, isInTable } from './qemu-lock.ts';
import { kindWords, legible } from './store-errors.ts';
import { judgeLockMember, MEMBER_BYTES, parseLockMember } from './vmware-lock.ts';

export interface LockFinding {
  readonly kind: 'vmware-lck' | 'nfs-lck' | 'qemu-ofd' | 'old-style-lck';
  /** Who holds it, as far as the lock says; may be empty. */
  readonly holder: string;
  readonly mode: 'exclusive' | 'shared';
  /** `unknown` cannot be judged from here: treat it as live. */
  readonly state: 'live' | 'stale' | 'unknown';
  /** The lock, or for QEMU's the locked file. */
  readonly path: string;
  /** Why this state, one phrase. */
  readonly detail: string;
}

export interface FindLocksOptions {
  /** This machine's id as VMware writes it; without it no VMware lock is ever judged stale. */
  machineId?: string | undefined;
  /** Where processes and kernel locks are looked up; this machine unless given. */
  host?: LockHost | undefined;
  /** Now, in ms since the epoch; the clock unless given. */
  now?: number | undefined;
}

/** A folder with more than this is no lock folder of VMware's. */
const MAX_MEMBERS = 256;
/** VMware gives up on a locker that entered and made no progress for this long. */
export const ENTERING_MS = 8_000;
/** ESX refreshes its lock files on NFS every few seconds and takes a holder for dead within a minute. */
const NFS_REFRESHED_MS = 60_000;
/** Where the holder's name begins in a lock file on NFS, and how much is read of one. */
const NFS_NAME_AT = 20;
const NFS_READ_BYTES = 512;

/**
 * The locks on one file (descriptor and extents each have their own), in no particular order.
 * @throws VmdkError `file-missing` for a file that is not there; `io` errors for locks that cannot be read.
 */
export async function findLocks(
  store: FileStore,
  path: string,
  options: FindLocksOptions = {},
): Promise<readonly LockFinding[]> {
  const file = await store.resolve(path);
  // Nobody locks what can only be read.
  if (isUrl(file.path)) return [];
  const host = options.host ?? createNodeLockHost();
  const now = options.now ?? Date.now();
  // A locker names the file as it opened it: through a link, its lock lies beside the link.
  const folders = new Set([
    `${file.path}.lck`,
    `${posix.join(posix.dirname(path), posix.basename(path))}.lck`,
  ]);
  const found: LockFinding[] = [];
  const seen = new Set<string>();
  for (const folder of folders) {
    const lock = await resolveIfThere(store, folder);
    if (lock === undefined || seen.has(lock.identity)) continue;
    seen.add(lock.identity);
    found.push(...(await vmwareLocks(store, lock, { machineId: options.machineId, host, now })));
  }
  found.push(...(await nfsLocks(store, file, now)), ...qemuLocks(file, host));
  return found;
}

interface Judging {
  readonly machineId: string | undefined;
  readonly host: LockHost;
  readonly now: number;
}

async function vmwareLocks(store: FileStore, lock: ResolvedPath, judging: Judging): Promise<LockFinding[]> {
  const { path } = lock;
  if (lock.kind !== 'folder') {
    const detail = `a lock folder is expected here, this is ${kindWords(lock.kind)}`;
    return [{ kind: 'old-style-lck', holder: '', mode: 'exclusive', state: 'live', path, detail }];
  }
  const names = await store.list(path);
  const members = names.filter((name) => /^[MDE]\d{5}\.lck$/.test(name));
  const dead = await enteredByTheDead(store, path, names, judging.host);
  const found: LockFinding[] = [];
  for (const name of members.slice(0, MAX_MEMBERS)) {
    const member = await resolveIfThere(store, posix.join(path, name));
    if (member === undefined) continue;
    found.push(
      name.startsWith('M')
        ? await memberLock(store, member, judging)
        : enteringLock(member, judging.now, dead.has(name.slice(1, 6))),
    );
  }
  if (members.length > MAX_MEMBERS) {
    const detail = `${members.length} entries, more than the ${MAX_MEMBERS} that were read`;
    found.push({ kind: 'vmware-lck', holder: '', mode: 'exclusive', state: 'unknown', path, detail });
  }
  return found;
}

async function memberLock(store: FileStore, file: ResolvedPath, judging: Judging): Promise<LockFinding> {
  const { path } = file;
  const bytes =
    file.kind === 'file' && file.size === MEMBER_BYTES
      ? await readStart(store, file, MEMBER_BYTES)
      : undefined;
  const member = bytes === undefined ? undefined : parseLockMember(bytes);
  if (member === undefined) {
    const detail = 'the lock file is damaged';
    return { kind: 'vmware-lck', holder: '', mode: 'exclusive', state: 'stale', path, detail };
  }
  const { state, detail } = judgeLockMember(
    member,
    member.machineId === judging.host.id ? judging.host.id : judging.machineId,
    (pid) => judging.host.process(pid),
  );
  const holder = legible(`${member.executionId} on ${member.machineId}`);
  return { kind: 'vmware-lck', holder, mode: member.exclusive ? 'exclusive' : 'shared', state, path, detail };
}

/** Numbers of entries that a vmdkit of this machine made, by its claims, and was killed before it held the lock. */
async function enteredByTheDead(
  store: FileStore,
  folder: string,
  names: readonly string[],
  host: LockHost,
): Promise<ReadonlySet<string>> {
  const numbers = new Set<string>();
  for (const name of names) {
    const claim = parseClaim(name);
    // Once the member stands, its own mark may be gone, and another in its place.
    if (claim === undefined || names.includes(`M${claim.digits}.lck`) || !isOwnAndGone(host, claim)) continue;
    const file = await resolveIfThere(store, posix.join(folder, name));
    if (file !== undefined && file.size > 0) numbers.add(claim.digits);
  }
  return numbers;
}

/** Somebody is about to take the lock, or died while doing so. */
function enteringLock({ path, modified }: ResolvedPath, now: number, dead: boolean): LockFinding {
  const stale = dead || now - modified > ENTERING_MS;
  const detail = stale ? 'somebody began to take the lock and never ended' : 'somebody is taking the lock';
  return { kind: 'vmware-lck', holder: '', mode: 'exclusive', state: stale ? 'stale' : 'live', path, detail };
}

/**
 * Whether somebody only began to take a lock and died: he never had it, and changed nothing. VMware's own protocol
 * does not wait for such a mark either.
 */
export function isDeadMark({ kind, state, path }: LockFinding): boolean {
  return kind === 'vmware-lck' && state === 'stale' && /^[DE]\d{5}\.lck$/.test(posix.basename(path));
}

/** ESX on NFS 3: `.lck-` and the inode's eight bytes, lowest first, in hexadecimal. */
async function nfsLocks(store: FileStore, file: ResolvedPath, now: number): Promise<LockFinding[]> {
  const inode = /:(\d+)$/.exec(file.identity)?.[1];
  if (inode === undefined) return [];
  const digits = BigInt(inode).toString(16).padStart(16, '0').match(/../g) ?? [];
  const path = posix.join(posix.dirname(file.path), `.lck-${digits.reverse().join('')}`);
  const lock = await resolveIfThere(store, path);
  if (lock === undefined || lock.kind !== 'file') return [];
  const bytes = await readStart(store, lock, NFS_READ_BYTES);
  const name = bytes.subarray(NFS_NAME_AT);
  const end = name.indexOf(0);
  const holder = legible(new TextDecoder().decode(end === -1 ? name : name.subarray(0, end)));
  const age = Math.max(0, now - lock.modified);
  const state = age <= NFS_REFRESHED_MS ? 'live' : 'unknown';
  const detail = `refreshed ${Math.round(age / 1000)} seconds ago`;
  return [{ kind: 'nfs-lck', holder, mode: 'exclusive', state, path, detail }];
}

function qemuLocks(file: ResolvedPath, host: LockHost): LockFinding[] {
  // A file in memory or behind a URL is in no table.
  const table = isInTable(file.identity) ? host.lockTable() : undefined;
  const lock = table === undefined ? undefined : findQemuLock(table, file.identity);
  if (lock === undefined) return [];
  const holder = host.holder(lock.device) ?? '';
  const mode = lock.writing ? 'exclusive' : 'shared';
  return [{ kind: 'qemu-ofd', holder, mode, state: 'live', path: file.path, detail: lock.detail }];
}

/** Locks come and go while we look: gone is as good as never there. */
async function resolveIfThere(store: FileStore, path: string): Promise<ResolvedPath | undefined> {
  try {
    return await store.resolve(path);
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}

/** Up to `length` bytes from the start; fewer, or none, of a file that ends or vanishes sooner. */
async function readStart(
  store: FileStore,
  { path, size }: ResolvedPath,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(size, length));
  try {
    const file = await store.open(path, 'read');
    try {
      await file.readExactly(bytes, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isVmdkError(error, 'file-missing', 'file-too-short')) throw error;
    return bytes.subarray(0, 0);
  }
  return bytes;
}

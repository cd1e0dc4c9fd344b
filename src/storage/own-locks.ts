// What a vmdkit of this machine left in lock folders when it was killed, and clearing that. Rule: nothing goes unless it is
// proved to be of such a process, and whoever clears a number has claimed it, as whoever draws one: no two work on one number,
// so that what is removed is what was looked at.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore } from './file-store.ts';
import { claimName, isOwnAndGone, parseClaim, type LockClaim } from './lock-claims.ts';
import { ENTERING_MS } from './lock-state.ts';
import { createNodeLockHost, type LockHost } from './node-lock-host.ts';
import { MEMBER_BYTES, parseLockMember, type LockMember } from './vmware-lock.ts';

/**
 * Clears what is left in a lock folder. True when something stays for now: somebody else works on it, or a mark is most
 * likely of such a process, but may be of one that is entering. Within `ENTERING_MS` it is gone, or nobody's.
 */
export async function clearOwn(store: FileStore, folder: string, host: LockHost): Promise<boolean> {
  let waiting = false;
  try {
    if (host.id === undefined || !(await store.exists(folder))) return false;
    if ((await store.resolve(folder)).kind !== 'folder') return false;
    for (const digits of await deadNumbers(store, folder, host))
      waiting = (await clearNumber(store, folder, digits, host)) || waiting;
  } catch (error) {
    // Others take the folder away with their last lock.
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
  return waiting;
}

/** The same for every file of a folder; lock folders that are empty then go, since they hold no lock, whoever made them. */
export async function clearOwnLocksIn(
  store: FileStore,
  folder: string,
  host: LockHost = createNodeLockHost(),
): Promise<void> {
  for (const name of await store.list(folder)) {
    const path = posix.join(folder, name);
    if (!name.endsWith('.lck') || !(await store.exists(path)) || (await store.resolve(path)).path !== path)
      continue;
    await clearOwn(store, path, host);
    await quietly(store.removeFolder(path));
  }
}

/** Paths of what somebody with this number has in the folder, from first to last. */
export function entryPaths(
  folder: string,
  digits: string,
): { readonly entering: string; readonly making: string; readonly member: string } {
  const place = (kind: string): string => posix.join(folder, `${kind}${digits}.lck`);
  return { entering: place('D'), making: place('E'), member: place('M') };
}

/** The members of a lock folder that can be read, by their paths. */
export async function membersIn(
  store: FileStore,
  folder: string,
): Promise<{ path: string; member: LockMember }[]> {
  const found: { path: string; member: LockMember }[] = [];
  for (const name of (await store.list(folder)).slice(0, 1024)) {
    if (!/^[ME]\d{5}\.lck$/.test(name)) continue;
    const path = posix.join(folder, name);
    const member = await memberAt(store, path);
    if (member !== undefined) found.push({ path, member });
  }
  return found;
}

/** For tidying where the first failure is what the caller must hear of. */
export async function quietly(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isVmdkError(error)) throw error;
  }
}

async function deadNumbers(store: FileStore, folder: string, host: LockHost): Promise<Set<string>> {
  const numbers = new Set<string>();
  for (const { digits } of await deadClaims(store, folder, host)) numbers.add(digits);
  for (const { path, member } of await membersIn(store, folder))
    if (isOwnAndGone(host, member)) numbers.add(posix.basename(path).slice(1, 6));
  return numbers;
}

async function deadClaims(store: FileStore, folder: string, host: LockHost): Promise<LockClaim[]> {
  const claims = (await store.list(folder)).map((name) => parseClaim(name));
  return claims.filter((claim) => claim !== undefined && isOwnAndGone(host, claim)) as LockClaim[];
}

async function clearNumber(
  store: FileStore,
  folder: string,
  digits: string,
  host: LockHost,
): Promise<boolean> {
  const own = claimName(host, digits);
  const claim = posix.join(folder, own);
  try {
    await (await store.create(claim)).close();
  } catch (error) {
    // This very process works on it.
    if (isVmdkError(error, 'file-exists')) return true;
    // Nobody can write here.
    if (isVmdkError(error)) return false;
    throw error;
  }
  try {
    const names = await store.list(folder);
    const others = names.map((name) => parseClaim(name)).filter((one) => one?.digits === digits);
    if (others.some((one) => one!.name !== own && !isOwnAndGone(host, one!))) return true;
    const left = others.flatMap((one) => (one!.name === own ? [] : posix.join(folder, one!.name)));
    return await removeEntry(store, folder, digits, left, host);
  } finally {
    await quietly(store.remove(claim));
  }
}

/** What the dead holders of these claims made, the claims last. */
async function removeEntry(
  store: FileStore,
  folder: string,
  digits: string,
  claims: readonly string[],
  host: LockHost,
): Promise<boolean> {
  const { entering, making, member } = entryPaths(folder, digits);
  const isDead = async (path: string): Promise<boolean> => {
    const found = await memberAt(store, path);
    return found !== undefined && isOwnAndGone(host, found);
  };
  let entered = false;
  for (const path of claims) entered ||= (await sizeOf(store, path)) > 0;
  const [begun, held] = [await isDead(making), await isDead(member)];
  // The mark before what proves whose it is. Without proof it may be of somebody who drew the same number; so it may once
  // the member stands, since its own may be gone.
  if ((held || !(entered || begun)) && (await isFresh(store, entering))) return true;
  await quietly(store.removeFolder(entering));
  if (begun || entered) await quietly(store.remove(making));
  if (held) await quietly(store.remove(member));
  for (const path of claims) await quietly(store.remove(path));
  return false;
}

async function isFresh(store: FileStore, path: string): Promise<boolean> {
  try {
    return Date.now() - (await store.resolve(path)).modified <= ENTERING_MS;
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return false;
    throw error;
  }
}

async function sizeOf(store: FileStore, path: string): Promise<number> {
  try {
    return (await store.resolve(path)).size;
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return 0;
    throw error;
  }
}

/** Undefined when it is none, is gone meanwhile, or is not for us to read: then it is not ours. */
async function memberAt(store: FileStore, path: string): Promise<LockMember | undefined> {
  try {
    const file = await store.open(path, 'read');
    try {
      if ((await file.size()) !== MEMBER_BYTES) return undefined;
      const bytes = new Uint8Array(MEMBER_BYTES);
      await file.readExactly(bytes, 0);
      return parseLockMember(bytes);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

// The linked clones that a .vmsd lists for a snapshot: whether they are still there. Rule: one that cannot be looked up
// from here, such as a path of another host, counts as there until the user says otherwise.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { mappedPaths } from '../chain/parent-candidates.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { showText } from '../format/plain-text.ts';
import type { Snapshot } from '../format/vmsd.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { Machine } from './machine.ts';
import { nameFew } from './name-few.ts';

type State = 'there' | 'gone' | 'unknown';

/**
 * Notes about clones that are gone by now.
 * @throws VmdkError `snapshot-has-clones` (refused), which names them.
 */
export async function lookForClones(
  store: FileStore,
  machine: Machine,
  { uid, displayName, clones }: Snapshot,
  options: Pick<ChainOptions, 'pathMap'> & { force?: boolean | undefined },
): Promise<string[]> {
  const states = await Promise.all(
    clones.map(async (vmx) => ({ vmx: showText(vmx), state: await stateOf(store, machine, vmx, options) })),
  );
  const there = states.filter(({ state }) => state === 'there');
  const unknown = states.filter(({ state }) => state === 'unknown');
  const field = `snapshot ${uid} "${showText(displayName)}"`;
  if (there.length > 0 && options.force !== true) {
    throw new VmdkError('refused', 'snapshot-has-clones', 'linked clones hang on this snapshot', {
      path: machine.vmsdPath,
      field,
      found: nameFew(there.map(({ vmx }) => vmx)),
      expected: 'no linked clone',
      hint: 'Delete those clones first. When they are full ones by now, pass --force: a scan still looks for disks that would break.',
    });
  }
  if (unknown.length > 0 && options.force !== true) {
    throw new VmdkError('refused', 'snapshot-has-clones', 'linked clones may hang on this snapshot', {
      path: machine.vmsdPath,
      field,
      found: nameFew(unknown.map(({ vmx }) => vmx)),
      expected: 'no linked clone, or one that can be looked up from here',
      hint: 'Tell where they are with --map FROM=TO; when it is certain that they are gone, pass --force.',
    });
  }
  const named = (found: (state: State) => boolean): string[] =>
    states.filter(({ state }) => found(state)).map(({ vmx }) => vmx);
  return [
    ...noteOf(
      named((state) => state === 'gone'),
      ['is gone', 'are gone'],
    ),
    ...noteOf(
      named((state) => state !== 'gone'),
      ['is no reason to stop, by request', 'are no reason to stop, by request'],
    ),
  ];
}

function noteOf(clones: readonly string[], [one, many]: readonly [string, string]): string[] {
  if (clones.length === 0) return [];
  return [
    clones.length === 1
      ? `the linked clone ${clones[0]!} ${one}`
      : `the linked clones ${nameFew(clones)} ${many}`,
  ];
}

async function stateOf(
  store: FileStore,
  { folder }: Machine,
  vmx: string,
  { pathMap = [] }: Pick<ChainOptions, 'pathMap'>,
): Promise<State> {
  const path = vmx.replaceAll('\\', '/');
  const foreign = /^[a-z]:\//i.test(path) || path.startsWith('[') || path.startsWith('//');
  const places = [...mappedPaths(vmx, pathMap), ...(foreign ? [] : [posix.resolve(folder, path)])];
  let state: State = 'unknown';
  for (const place of places) {
    if (await isThere(store, place)) return 'there';
    // A clone is gone when its neighbourhood can be seen and it cannot.
    if (await isThere(store, posix.dirname(posix.dirname(place)))) state = 'gone';
  }
  return state;
}

async function isThere(store: FileStore, path: string): Promise<boolean> {
  if (path === '/') return false;
  try {
    return await store.exists(path);
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

// A datastore in memory to clone on, and what the tests of clones look at: every file of a store, every clone opened.
import { posix } from 'node:path';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { fixtureSpec } from '../../src/fixture/spec-builder.ts';
import { cloneDisks } from '../../src/operations/clone-disks.ts';
import type { CloneOptions, CloneRequest, CloneResult } from '../../src/operations/clone-types.ts';
import type { Runs } from '../../src/operations/run-owner.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { hashFile, pattern } from './chain-model.ts';
import { fillBytes, placeFixture } from './fixture-disks.ts';

export const BASE_BYTES = 1 << 18;
export const BASE_CONTENT = pattern(256 * 512, 5);

/** A disk of 256 KiB whose first 128 KiB say where they came from; its folder must exist. */
export async function makeBase(fs: FileStore | undefined, path: string, type?: string): Promise<void> {
  const writes = [fillBytes(0, BASE_CONTENT)];
  const createType = type === undefined ? {} : { createType: type };
  const { spec } = fixtureSpec('base').disk(posix.basename(path, '.vmdk'), BASE_BYTES, {
    ...createType,
    writes,
  });
  await placeFixture(spec, posix.dirname(path), fs);
}

/** `/ds/golden/golden.vmdk`, and nothing else. */
export async function datastore(type?: string): Promise<FileStore> {
  const fs = createMemoryFileStore();
  await fs.makeFolder('/ds');
  await fs.makeFolder('/ds/golden');
  await makeBase(fs, '/ds/golden/golden.vmdk', type);
  return fs;
}

export async function cloned(request: CloneRequest, options: CloneOptions): Promise<CloneResult[]> {
  const results: CloneResult[] = [];
  for await (const result of cloneDisks(request, options)) results.push(result);
  return results;
}

/** Every file below `folder`, hidden ones too, sorted. */
export async function filesBelow(fs: FileStore, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await fs.list(folder)).sort()) {
    const path = posix.join(folder, name);
    const { kind } = await fs.resolve(path);
    if (kind === 'folder') found.push(`${path}/`, ...(await filesBelow(fs, path)));
    else found.push(path);
  }
  return found;
}

/** SHA-256 of every file below `folder`, by path. */
export async function hashesBelow(fs: FileStore, folder: string): Promise<Record<string, string>> {
  const files = (await filesBelow(fs, folder)).filter((path) => !path.endsWith('/'));
  return Object.fromEntries(
    await Promise.all(files.map(async (path) => [path, await hashFile(fs, path)] as const)),
  );
}

/** The whole of a disk as a reader gets it who was allowed no more than this. */
export async function contentOf(
  fs: FileStore | undefined,
  path: string,
  allow: readonly string[] = [],
): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs, allow });
  try {
    const content = Buffer.alloc(chain.capacity * 512);
    await chain.read(wholeOf(chain), content);
    return content;
  } finally {
    await chain.close();
  }
}

/** Runs as seen by a process with this pid, where only `alive` ones run. */
export function runsOf(pid: number, alive: readonly number[] = [pid], host = 'aaaaaaaa'): Runs {
  return {
    self: { host, pid, started: '7' },
    stateOf: (owner) => {
      if (owner.host !== host) return 'unknown';
      return alive.includes(owner.pid) ? 'running' : 'gone';
    },
  };
}

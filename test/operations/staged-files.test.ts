// New files put in place together, cut off at every moment: once the next run into the folder has begun, all of them are
// there or none, what they replace is whole or gone, and nothing else lies about.
import { mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { makeStaged } from '../../src/operations/staged-files.ts';
import { readWhole, writeWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { storeFor } from '../../src/storage/promises-file-store.ts';
import { runsOf } from '../support/clone-bench.ts';
import { crashStoreOf } from '../support/crash-store.ts';

const NAMES = ['disk-flat.vmdk', 'disk.vmdk'] as const;

async function place(store: FileStore, pid: number, names: readonly string[], text: string): Promise<void> {
  const make = async (stage: string): Promise<void> => {
    for (const name of names)
      await writeWhole(store, `${stage}/${name}`, Buffer.from(`${text} ${name}`), false);
  };
  const options = { overwrite: true, runs: runsOf(pid) };
  await makeStaged(store, '/d', names, make, options);
}

async function textsIn(store: FileStore): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const name of (await store.list('/d')).sort())
    texts[name] = (await readWhole(store, `/d/${name}`)).toString();
  return texts;
}

const textsOf = (names: readonly string[], text: string): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, `${text} ${name}`]));

it.each([
  ['one file', NAMES.slice(1)],
  ['several files', NAMES],
])('%s, cut off in any moment, are the old or the new ones for the next run', async (_what, names) => {
  const start = createMemoryFileStore();
  await start.makeFolder('/d');
  await place(start, 1, names, 'old');
  const whole = await crashStoreOf(start);
  await place(whole, 2, names, 'new');
  const outcomes = new Set<string>();
  for (let at = 0; at < whole.log.length; at++) {
    const crash = await crashStoreOf(start);
    crash.crashAt(at);
    await expect(place(crash, 2, names, 'new')).rejects.toThrow();
    for await (const medium of crash.afterCrash(at, 4)) {
      // One file needs no journal, and must leave what another one needs; the next of several settles all.
      await place(medium, 3, ['next.vmdk'], 'next');
      if (names.length > 1) await place(medium, 4, ['last.vmdk', 'next.vmdk'], 'next');
      const { 'next.vmdk': next, 'last.vmdk': _, ...others } = await textsIn(medium);
      expect(next).toBe('next next.vmdk');
      const outcome = Object.values(others)[0]?.slice(0, 3) ?? 'none';
      expect({ at, others }).toEqual({ at, others: textsOf(names, outcome) });
      outcomes.add(outcome);
    }
  }
  expect([...outcomes].sort()).toEqual(['new', 'old']);
});

it('an error names the file that was to be made, and the folder where nothing can be', async () => {
  const store = createMemoryFileStore();
  await store.makeFolder('/d');
  const failing = (path: string): Promise<never> =>
    Promise.reject(new VmdkError('io', 'no-space', 'cannot write', { path }));
  const made = makeStaged(store, '/d', NAMES, (stage) => failing(`${stage}/disk.vmdk`));
  await expect(made).rejects.toMatchObject({ context: { path: '/d/disk.vmdk' } });
  const shut = makeStaged({ ...store, makeFolder: failing }, '/d', NAMES, async () => {});
  await expect(shut).rejects.toMatchObject({ context: { path: '/d' } });
  const other = makeStaged(store, '/d', NAMES, () => failing('/elsewhere/source.vmdk'));
  await expect(other).rejects.toMatchObject({ context: { path: '/elsewhere/source.vmdk' } });
  expect(await store.list('/d')).toEqual([]);
});

it('a link that leads nowhere has its name all the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'staged-'));
  try {
    await symlink('nowhere', join(folder, 'disk.vmdk'));
    for (const overwrite of [false, true]) {
      const placing = makeStaged(storeFor(undefined), folder, ['disk.vmdk'], async () => {}, { overwrite });
      await expect(placing).rejects.toMatchObject({ code: 'target-is-no-file', kind: 'refused' });
    }
    expect(await readdir(folder)).toEqual(['disk.vmdk']);
    expect(await readlink(join(folder, 'disk.vmdk'))).toBe('nowhere');
  } finally {
    await rm(folder, { recursive: true });
  }
});

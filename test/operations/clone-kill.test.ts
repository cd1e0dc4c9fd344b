// Runs that are killed with SIGKILL at seeded moments, in processes of their own on a real file system: the next
// command finishes them or leaves no trace of them.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CloneLayout } from '../../src/operations/clone-types.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import {
  BASE_CONTENT,
  cloned,
  contentOf,
  filesBelow,
  hashesBelow,
  makeBase,
} from '../support/clone-bench.ts';

const CHILD = fileURLToPath(new URL('../support/clone-child.js', import.meta.url));
const SETUP = fileURLToPath(new URL('../../bin/setup.js', import.meta.url));
const MOMENTS = 12;
const store = createNodeFileStore();

let folder: string;
let base: string;

beforeAll(async () => {
  // The child runs what is built; this builds only when src has changed.
  await run([SETUP]);
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-kill-'));
  await mkdir(join(folder, 'golden'));
  base = join(folder, 'golden/golden.vmdk');
  await makeBase(undefined, base);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(args: readonly string[]): Promise<{ stdout: string; signal: string | null }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ stdout, signal: error?.signal ?? null });
    });
  });
}

describe.each<CloneLayout>(['files', 'folders'])('a run that is killed while it makes %s', (layout) => {
  const all = () => join(folder, `${layout}-all`);
  let total: number;
  beforeAll(async () => {
    total = Number((await run([CHILD, base, all(), layout, '0'])).stdout);
    expect(total).toBeGreaterThan(MOMENTS);
  });

  it.each(Array.from({ length: MOMENTS }, (_, index) => index))(
    'is finished or undone by the next, moment %i',
    async (index) => {
      const into = join(folder, `${layout}-${index}`);
      const before = await hashesBelow(store, join(folder, 'golden'));
      const moment = 1 + Math.floor(((index + fraction(index, layout)) / MOMENTS) * total);
      const { signal } = await run([CHILD, base, into, layout, String(moment)]);
      expect(signal, `killed at ${moment} of ${total}`).toBe('SIGKILL');

      // Every other time, somebody else's command comes next.
      const foreign = index % 2 === 1;
      const request = { bases: [base], into, layout, ...(foreign ? { names: ['other'] } : { count: 12 }) };
      await cloned(request, {}).catch((error: unknown) => {
        // All was in place and the journal gone: the same command finds its work done.
        expect(error).toMatchObject({ code: 'target-exists' });
      });

      const whole = (await filesBelow(store, all())).map((path) => path.replace(all(), into));
      const own = (await filesBelow(store, into)).filter((path) => !/\/other[/.]/.test(path));
      if (foreign) expect([[], whole]).toContainEqual(own);
      else expect(own).toEqual(whole);
      expect((await readdir(into)).filter((name) => name.startsWith('.'))).toEqual([]);
      expect(await hashesBelow(store, join(folder, 'golden'))).toEqual(before);
      for (const path of own.filter((file) => file.endsWith('.vmdk'))) {
        const content = await readAllowed(path);
        expect(content.subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT)).toBe(true);
      }
    },
  );
});

/** Clones in folders of a folder beside the base reach it only when allowed. */
function readAllowed(path: string): Promise<Buffer> {
  return contentOf(undefined, path, [folder]);
}

/** The same on every run, spread over [0, 1). */
function fraction(index: number, layout: string): number {
  const mixed = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(layout.length, 0x85ebca6b);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

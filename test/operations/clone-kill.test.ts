// Runs that are killed with SIGKILL at seeded moments, in processes of their own on a real file system: the next
// command finishes them or leaves no trace of them.
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import { countCalls, killAt, type Run } from '../support/kills.ts';

const MOMENTS = 12;
const store = createNodeFileStore();

let folder: string;
let start: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-kill-'));
  await mkdir(join(folder, 'start/golden'), { recursive: true });
  await makeBase(undefined, join(folder, 'start/golden/golden.vmdk'));
  start = await hashesBelow(store, join(folder, 'start'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A folder with the base in it and one beside it for the clones, and the run that makes them. */
async function runIn(name: string, layout: CloneLayout): Promise<Run> {
  await cp(join(folder, 'start'), join(folder, name), { recursive: true });
  return { verb: 'clone', args: [baseOf(name), join(folder, name, 'clones'), layout] };
}

const baseOf = (name: string): string => join(folder, name, 'golden/golden.vmdk');

describe.each<CloneLayout>(['files', 'folders'])('a run that is killed while it makes %s', (layout) => {
  beforeAll(async () => {
    const [total] = await countCalls([await runIn(`${layout}-all`, layout)]);
    expect(total).toBeGreaterThan(MOMENTS);
    const runs = Array.from({ length: MOMENTS }, async (_, index) => ({
      ...(await runIn(`${layout}-${index}`, layout)),
      moment: 1 + Math.floor(((index + fraction(index, layout)) / MOMENTS) * total!),
    }));
    await killAt(await Promise.all(runs));
  });

  it.each(Array.from({ length: MOMENTS }, (_, index) => index))(
    'is finished or undone by the next, moment %i',
    async (index) => {
      const name = `${layout}-${index}`;
      const into = join(folder, name, 'clones');

      // Every other time, somebody else's command comes next.
      const foreign = index % 2 === 1;
      const which = foreign ? { names: ['other'] } : { count: 6 };
      await cloned({ bases: [baseOf(name)], into, layout, ...which }, {}).catch((error: unknown) => {
        // All was in place and the journal gone: the same command finds its work done.
        expect(error).toMatchObject({ code: 'target-exists' });
      });

      const all = join(folder, `${layout}-all`, 'clones');
      const whole = (await filesBelow(store, all)).map((path) => path.replace(all, into));
      const own = (await filesBelow(store, into)).filter((path) => !/\/other[/.]/.test(path));
      if (foreign) expect([[], whole]).toContainEqual(own);
      else expect(own).toEqual(whole);
      expect((await readdir(into)).filter((file) => file.startsWith('.'))).toEqual([]);
      const golden = await hashesBelow(store, join(folder, name, 'golden'));
      expect(Object.values(golden)).toEqual(Object.values(start));
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

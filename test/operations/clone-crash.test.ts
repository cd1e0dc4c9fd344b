// The plug pulled at every write and sync of a run, and again while the next run settles what is left: in whatever
// state the medium is found, the same command ends with every clone whole and nothing stray.
import { describe, expect, it } from 'vitest';
import type { CloneRequest } from '../../src/operations/clone-types.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import {
  BASE_CONTENT,
  cloned,
  contentOf,
  datastore,
  filesBelow,
  hashesBelow,
  runsOf,
} from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';

const GOLDEN = '/ds/golden/golden.vmdk';
const REQUESTS: readonly CloneRequest[] = [
  { bases: [GOLDEN], into: '/ds', names: ['a', 'b'], type: 'vmfsSparse', layout: 'files' },
  { bases: [GOLDEN], into: '/ds', names: ['a', 'b'], layout: 'folders' },
];
const FILES = [
  ['/ds/a-delta.vmdk', '/ds/a.vmdk', '/ds/b-delta.vmdk', '/ds/b.vmdk', '/ds/golden/', GOLDEN],
  ['/ds/a/', '/ds/a/a.vmdk', '/ds/b/', '/ds/b/b.vmdk', '/ds/golden/', GOLDEN],
];
const STATES = 5;

describe.each([0, 1])('a power cut, layout %#', (index) => {
  const request = REQUESTS[index]!;

  /** Runs until the power is cut at operation `n`; false when there was no such operation. */
  async function runAndCut(fs: FileStore, n: number, pid: number) {
    const crashing = await crashStoreOf(fs);
    crashing.crashAt(n);
    const error: unknown = await cloned(request, { fs: crashing, runs: runsOf(pid) }).then(
      () => undefined,
      (thrown) => thrown,
    );
    if (error !== undefined && !isPowerCut(error) && !isPowerCut((error as Error).cause)) throw error;
    return { crashing, cut: error !== undefined };
  }

  async function expectWhole(fs: FileStore, base: Record<string, string>, what: string): Promise<void> {
    expect(await filesBelow(fs, '/ds'), what).toEqual(FILES[index]);
    expect(await hashesBelow(fs, '/ds/golden'), what).toEqual(base);
    for (const name of ['a', 'b']) {
      const path = FILES[index]!.find((file) => file.endsWith(`/${name}.vmdk`))!;
      const content = await contentOf(fs, path);
      expect(content.subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT), what).toBe(true);
    }
  }

  /** The same command again: done already, or done now. */
  async function runAgain(fs: FileStore, pid: number): Promise<void> {
    try {
      await cloned(request, { fs, runs: runsOf(pid) });
    } catch (error) {
      // Everything was in place and the journal gone: then the names are taken, by whole clones.
      expect(error).toMatchObject({ code: 'target-exists' });
    }
  }

  it('at any operation leaves what the same command completes', async () => {
    const fs = await datastore();
    const base = await hashesBelow(fs, '/ds/golden');
    const seen = new Set<string>();
    let n = 0;
    for (; ; n++) {
      const { crashing, cut } = await runAndCut(fs, n, 1);
      for await (const state of crashing.afterCrash(n, STATES, seen)) {
        await runAgain(state, 2);
        await expectWhole(state, base, `cut at ${crashing.log[n]}`);
      }
      if (!cut) break;
    }
    expect(n).toBeGreaterThan(30);
  });

  it('at any operation leaves all or none, once another command has tidied up', async () => {
    const fs = await datastore();
    let n = 0;
    const seen = new Set<string>();
    const counts = new Set<number>();
    for (; ; n++) {
      const { crashing, cut } = await runAndCut(fs, n, 1);
      for await (const state of crashing.afterCrash(n + 1000, STATES, seen)) {
        await cloned({ ...request, names: ['other'] }, { fs: state, runs: runsOf(2) });
        const left = (await filesBelow(state, '/ds')).filter((path) => !/other|golden/.test(path));
        expect(left, `cut at ${crashing.log[n]}`).toSatisfy((files: string[]) =>
          [0, 4].includes(files.length),
        );
        counts.add(left.length);
      }
      if (!cut) break;
    }
    expect(counts).toEqual(new Set([0, 4]));
  });

  it('while settling an earlier one leaves no less', async () => {
    const fs = await datastore();
    const base = await hashesBelow(fs, '/ds/golden');
    let tried = 0;
    const seen = new Set<string>();
    for (let n = 3; ; n += 5) {
      const { crashing, cut } = await runAndCut(fs, n, 1);
      if (!cut) break;
      for await (const first of crashing.afterCrash(n, 3, seen)) {
        const untouched = await crashStoreOf(first);
        const seenLater = new Set<string>();
        for (let m = 0; ; m += 5) {
          const second = await runAndCut(untouched, m, 2).catch((error: unknown) => {
            expect(error).toMatchObject({ code: 'target-exists' });
            return undefined;
          });
          if (second === undefined || !second.cut) break;
          for await (const state of second.crashing.afterCrash(m, 2, seenLater)) {
            await runAgain(state, 3);
            await expectWhole(state, base, `cut at ${crashing.log[n]}, then at ${second.crashing.log[m]}`);
            tried++;
          }
        }
      }
    }
    expect(tried).toBeGreaterThan(100);
  });
});

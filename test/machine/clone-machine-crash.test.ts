// The plug pulled at every operation of a run that freezes a machine and clones it: once the same command, or another,
// has settled what was left, there are all clones and a forked source, or none and the source as it was.
import { beforeAll, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import type { MachineCloneRequest } from '../../src/machine/machine-clone-types.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createNodeLockHost, type LockHost } from '../../src/storage/node-lock-host.ts';
import { filesBelow, hashesBelow, runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { clonedMachines, contentsOf, forgetEntering, machineBench } from '../support/machine-clones.ts';
import type { MachineModel, ModelPoint } from '../support/machine-model.ts';

const GOLDEN = '/ds/golden/golden.vmx';
/** The machine after it has started again: no process of before is alive. */
const LATER: LockHost = { ...createNodeLockHost(), process: () => ({ alive: false }) };

let start: FileStore;
let model: MachineModel;

beforeAll(async () => {
  ({ fs: start, model } = await machineBench({ nodes: ['sata0:1'], sectors: 512 }));
});

const REQUESTS: readonly (readonly [string, MachineCloneRequest, ModelPoint])[] = [
  ['frozen', { machine: GOLDEN, into: '/ds', names: ['a', 'b'], freeze: true }, 'running'],
  ['from a snapshot', { machine: GOLDEN, into: '/ds', names: ['a', 'b'], snapshot: 'patched' }, 2],
];

async function isCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    for (let at: unknown = error; isVmdkError(at); at = at.cause) if (isPowerCut(at)) return true;
    throw error;
  }
}

/** Where a run begins to make something; before, it takes its locks, which have their own tests. */
async function firstStep(request: MachineCloneRequest): Promise<number> {
  const store = await crashStoreOf(start);
  await clonedMachines(request, { fs: store, runs: runsOf(1) });
  return store.log.findIndex((line) => line.includes('.vmdkit-change-'));
}

/** Which of its points a machine reads as. */
async function pointOf(fs: FileStore, vmx: string): Promise<ModelPoint | undefined> {
  const content = (await contentsOf(fs, vmx)).get('sata0:1')!;
  return (['running', 1, 2, 3] as const).find((point) => model.contentsAt(point, 'sata0:1').equals(content));
}

/** All or nothing, and the disks that were there before as they were. */
async function expectWhole(fs: FileStore, what: string, point: ModelPoint): Promise<'all' | 'none'> {
  const files = await filesBelow(fs, '/ds');
  expect(
    files.filter((path) => /\/\.|\.lck/.test(path)),
    what,
  ).toEqual([]);
  const [before, after] = [await hashesBelow(start, '/ds/golden'), await hashesBelow(fs, '/ds/golden')];
  const changed = Object.keys(before).filter((path) => before[path] !== after[path]);
  const clones = files.filter((path) => /^\/ds\/[ab]\/$/.test(path));
  expect(await pointOf(fs, GOLDEN), what).toBe('running');
  for (const folder of clones) {
    const name = folder.slice(-2, -1);
    expect(await pointOf(fs, `${folder}${name}.vmx`), what).toBe(point);
  }
  if (clones.length === 0) {
    expect(changed, what).toEqual([]);
    expect(Object.keys(after), what).toEqual(Object.keys(before));
    return 'none';
  }
  expect(clones, what).toHaveLength(2);
  expect(changed, what).toEqual([point === 'running' ? GOLDEN : '/ds/golden/golden.vmsd']);
  const added = Object.keys(after).length - Object.keys(before).length;
  expect(added, what).toBe(point === 'running' ? 1 : 0);
  return 'all';
}

// Thinned out: every operation of a change set is cut in its own test.
describe.each(REQUESTS)('clones %s whose making is cut', (_, request, point) => {
  it('are made by the same command, once', async () => {
    for (let n = await firstStep(request); ; n += 11) {
      const store = await crashStoreOf(start);
      store.crashAt(n);
      const cut = await isCut(() => clonedMachines(request, { fs: store, runs: runsOf(1) }));
      let index = 0;
      for await (const state of store.afterCrash(n, 2)) {
        const what = `cut at ${n}: ${store.log[n]}, state ${index++}`;
        await forgetEntering(state, '/ds/golden');
        try {
          const made = await clonedMachines(request, { fs: state, runs: runsOf(2), locks: { host: LATER } });
          expect(
            made.map(({ status }) => status),
            what,
          ).toEqual(['created', 'created']);
        } catch (error) {
          // All was in place and the journal gone: then the names are taken, by whole clones.
          expect(error, what).toMatchObject({ code: 'target-exists' });
        }
        expect(await expectWhole(state, what, point)).toBe('all');
      }
      if (!cut) break;
    }
  });

  it('are all there or not at all once another command has tidied up', async () => {
    const outcomes = { all: 0, none: 0 };
    for (let n = await firstStep(request); ; n += 13) {
      const store = await crashStoreOf(start);
      store.crashAt(n);
      const cut = await isCut(() => clonedMachines(request, { fs: store, runs: runsOf(1) }));
      let index = 0;
      for await (const state of store.afterCrash(n, 2)) {
        const what = `cut at ${n}: ${store.log[n]}, state ${index++}`;
        await forgetEntering(state, '/ds/golden');
        const other = { ...request, names: ['other'], freeze: false, full: true };
        await clonedMachines(other, { fs: state, runs: runsOf(2), locks: { host: LATER } });
        outcomes[await expectWhole(state, what, point)]++;
      }
      if (!cut) break;
    }
    expect(outcomes.all).toBeGreaterThan(2);
    expect(outcomes.none).toBeGreaterThan(2);
  });
});

describe('a run that fails', () => {
  it('leaves nothing, not even the folder that it made', async () => {
    const store = await crashStoreOf(start);
    const before = await hashesBelow(store, '/ds');
    const request = { machine: GOLDEN, into: '/ds/new/lab', count: 3, freeze: true };
    const stop = new AbortController();
    const work = clonedMachines(request, {
      fs: store,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await expect(work).rejects.toThrow('enough');
    expect(await hashesBelow(store, '/ds')).toEqual(before);
    expect(await store.list('/ds')).toEqual(['golden']);
  });

  it('notices a base that changes meanwhile', async () => {
    const store = await crashStoreOf(start);
    const base = model.diskAt('running', 'sata0:1');
    const touch = async (): Promise<void> => {
      const file = await store.open(base, 'update');
      await file.resize((await file.size()) + 512);
      await file.close();
    };
    const work = clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['a'] },
      { fs: store, onProgress: () => void touch() },
    );
    await expect(work).rejects.toMatchObject({ code: 'base-changed' });
    expect(await store.exists('/ds/a')).toBe(false);
  });

  it('is refused while the source is locked, and locks it itself', async () => {
    const seen: string[] = [];
    const store = await crashStoreOf(start);
    const request = { machine: GOLDEN, into: '/ds', names: ['a'], freeze: true };
    await clonedMachines(request, { fs: store });
    for (const line of store.log)
      if (/\.lck/.test(line)) seen.push(line.split(' ')[1]!.replace(/\/[MDE]\d+\.lck$/, ''));
    expect(new Set(seen)).toContain('/ds/golden/golden.vmx.lck');
    expect((await openMachine(GOLDEN, { fs: store })).locks).toEqual([]);
  });
});

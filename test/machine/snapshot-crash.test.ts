// The plug pulled at every operation of every change of snapshots: once the next run has settled what was left, the
// machine is as before or as after, every point reads as it did, and nothing half-made lies about.
import { posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { consolidateSnapshots } from '../../src/machine/consolidate-machine.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { renameSnapshot } from '../../src/machine/snapshot-rename.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import type { SnapshotOptions } from '../../src/machine/snapshot-types.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createNodeLockHost, type LockHost } from '../../src/storage/node-lock-host.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { buildMachine, readDisk, type MachineModel } from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';

const VMX = '/m/golden.vmx';
type Change = (options: SnapshotOptions) => Promise<unknown>;

/** This machine, once the process that was killed is gone. */
const LATER: LockHost = { ...createNodeLockHost(), process: () => ({ alive: false }) };

let start: FileStore;
let model: MachineModel;

beforeAll(async () => {
  start = createMemoryFileStore();
  model = await buildMachine(start, '/m', { nodes: ['sata0:1'], sectors: 512 });
});

/** What every point of the machine reads as, and the files that are there. */
async function stateOf(store: FileStore): Promise<{ points: Map<string, string>; files: string }> {
  const machine = await openMachine(VMX, { fs: store });
  expect(machine.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  const points = new Map<string, string>();
  for (const snapshot of [undefined, ...machine.snapshots.snapshots]) {
    const name = snapshot === undefined ? 'running' : `${snapshot.uid} ${snapshot.displayName}`;
    const disks =
      snapshot === undefined
        ? disksAt(machine)
        : disksAt(machine, findSnapshot(machine, `uid:${snapshot.uid}`));
    for (const { path } of disks) points.set(name, contentsName(await readDisk(store, path)));
  }
  return {
    points,
    files: (await store.list('/m'))
      .filter((name) => !name.endsWith('.lck'))
      .sort()
      .join(' '),
  };
}

/** The point of the model that reads so. */
function contentsName(contents: Buffer): string {
  const point = ([1, 2, 3, 'running'] as const).find((one) =>
    model.contentsAt(one, 'sata0:1').equals(contents),
  );
  return point === undefined ? 'nothing known' : String(point);
}

/** `every` thins out what is proved of change sets anyway: every operation of them, in their own test. */
async function cutEverywhere(from: FileStore, change: Change, every = 1): Promise<void> {
  const before = await stateOf(from);
  const copy = await memoryCopyOf(from);
  await change({ fs: copy, runs: runsOf(1), force: true });
  const after = await stateOf(copy);
  expect(after).not.toEqual(before);
  const outcomes = { before: 0, after: 0 };
  const seen = new Set<string>();
  for (let n = 0; ; n += every) {
    const store = await crashStoreOf(from);
    store.crashAt(n);
    const cut = await isCut(() => change({ fs: store, runs: runsOf(1), force: true }));
    let index = 0;
    for await (const state of store.afterCrash(n, 2, seen)) {
      const what = `cut at ${n}: ${store.log[n]}, state ${index++}`;
      await settleChangeSets(state, '/m', { runs: runsOf(2) });
      const now = await stateOf(state);
      const outcome = now.files === after.files && sameNames(now, after) ? 'after' : 'before';
      expect(now, what).toEqual(outcome === 'after' ? after : before);
      outcomes[outcome]++;
    }
    if (!cut) break;
  }
  expect(outcomes.before).toBeGreaterThan(5);
  expect(outcomes.after).toBeGreaterThan(5);
}

const sameNames = (one: { points: Map<string, string> }, other: { points: Map<string, string> }): boolean =>
  [...one.points].join() === [...other.points].join();

async function isCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    for (let at: unknown = error; isVmdkError(at); at = at.cause) if (isPowerCut(at)) return true;
    throw error;
  }
}

describe('when the power is cut', () => {
  it('taking a snapshot is done or undone', () =>
    cutEverywhere(start, (options) => createSnapshot(VMX, { name: 'now' }, options), 7));

  it('reverting is done or undone', () =>
    cutEverywhere(start, (options) => revertSnapshot(VMX, '2', options), 7));

  it('renaming is done or undone', () =>
    cutEverywhere(start, (options) => renameSnapshot(VMX, { snapshot: '2', name: 'x' }, options), 3));

  it('deleting a snapshot that merges into the disk above is done or undone', () =>
    cutEverywhere(start, (options) => deleteSnapshot(VMX, 'experiment', options), 4));

  it('deleting all snapshots, which merges into the base, is done or undone', () =>
    cutEverywhere(start, (options) => deleteSnapshot(VMX, 'installed', { ...options, children: true }), 5));

  it('a merge into the base where it stands leaves a machine that reads as it should, and is finished', async () => {
    const change: Change = (options) =>
      deleteSnapshot(VMX, 'installed', { ...options, children: true, inPlace: true });
    const copy = await memoryCopyOf(start);
    await change({ fs: copy, runs: runsOf(1) });
    const [before, after] = [await stateOf(start), await stateOf(copy)];
    const outcomes = { before: 0, between: 0, after: 0 };
    const seen = new Set<string>();
    for (let n = 0; ; n += 9) {
      const store = await crashStoreOf(start);
      store.crashAt(n);
      const cut = await isCut(() => change({ fs: store, runs: runsOf(1) }));
      for await (const state of store.afterCrash(n, 2, seen)) {
        const what = `cut at ${n}: ${store.log[n]}`;
        await settleChangeSets(state, '/m', { runs: runsOf(2) });
        const now = await stateOf(state);
        expect(now.points.get('running'), what).toBe('running');
        const gone = now.points.size === 1;
        outcomes[!gone ? 'before' : now.files === after.files ? 'after' : 'between']++;
        if (!gone) expect(now, what).toEqual(before);
        else {
          // What was cut in the moment of taking a lock has aged, and is known to be dead.
          const locks = { host: LATER, now: Date.now() + 10_000 };
          await consolidateSnapshots(VMX, { fs: state, runs: runsOf(2), locks, force: true, inPlace: true });
          expect(await stateOf(state), what).toEqual(after);
        }
      }
      if (!cut) break;
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(5);
  });

  it('the same command run again finishes what it had begun, and does it once', async () => {
    const create: Change = (options) => createSnapshot(VMX, { name: 'once' }, options);
    const whole = await crashStoreOf(start);
    await create({ fs: whole, runs: runsOf(1) });
    const ready = whole.log.findIndex((line) => line.startsWith('rename') && line.endsWith('.ready'));
    expect(ready).toBeGreaterThan(10);
    for (const n of [ready - 1, ready + 2]) {
      const store = await crashStoreOf(start);
      store.crashAt(n);
      expect(await isCut(() => create({ fs: store, runs: runsOf(1) }))).toBe(true);
      for await (const state of store.afterCrash(n, 2)) {
        await create({ fs: state, runs: runsOf(2), locks: { host: LATER } });
        const { snapshots } = (await openMachine(VMX, { fs: state })).snapshots;
        expect(snapshots.map(({ displayName }) => displayName)).toEqual([
          'installed',
          'patched',
          'experiment',
          'once',
        ]);
        expect((await state.list('/m')).filter((name) => /^\.|\.lck$/.test(name))).toEqual([]);
        expect(posix.basename(disksAt(await openMachine(VMX, { fs: state }))[0]!.path)).toBe(
          'golden-000004.vmdk',
        );
      }
    }
  });
});

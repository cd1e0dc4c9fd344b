// Changes of snapshots that are killed with SIGKILL at seeded moments, in processes of their own on a real file system:
// the same command, run again, ends as if nothing had happened, and leaves neither journals nor locks.
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import type { SnapshotOptions } from '../../src/machine/snapshot-types.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { temporaryFolder } from '../support/command.ts';
import { countCalls, killAt, type Run } from '../support/kills.ts';
import { buildMachine, readDisk, type MachineModel } from '../support/machine-model.ts';

const MOMENTS = 4;
const store = createNodeFileStore();

let folder: string;
let remove: () => Promise<void>;
let model: MachineModel;

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  model = await buildMachine(store, join(folder, 'model'), { nodes: ['sata0:1'], sectors: 1024 });
});
afterAll(() => remove());

/** A folder of its own around it: neighbours would be looked at as well. */
const machineIn = (name: string): string => join(folder, name, 'golden/golden.vmx');

async function runIn(name: string, action: 'create' | 'delete', snapshot: string): Promise<Run> {
  await cp(model.folder, join(folder, name, 'golden'), { recursive: true });
  return { verb: `${action} a snapshot`, args: [machineIn(name), snapshot] };
}

/**
 * The same command once more. One that was killed in the moment of taking a lock left an entry that says nothing of
 * its owner: only whoever knows that it is dead can go on, once it has aged. True in this case.
 */
async function again(vmx: string, action: 'create' | 'delete', name: string): Promise<boolean> {
  const change = (options: SnapshotOptions) =>
    action === 'create' ? createSnapshot(vmx, { name }, options) : deleteSnapshot(vmx, name, options);
  try {
    await change({});
    return false;
  } catch (error) {
    // All was in place and the journal gone: then there is nothing to delete.
    if (isVmdkError(error, 'snapshot-missing')) return false;
    if (!isVmdkError(error, 'machine-running', 'machine-unclean')) throw error;
    await change({ force: true, locks: { now: Date.now() + 10_000 } });
    return true;
  }
}

describe.each([
  ['create', 'now', ['installed', 'patched', 'experiment', 'now']],
  ['delete', 'experiment', ['installed', 'patched']],
] as const)('a process that is killed while it has a snapshot to %s', (action, name, left) => {
  beforeAll(async () => {
    const [total] = await countCalls([await runIn(`${action}-all`, action, name)]);
    expect(total).toBeGreaterThan(50);
    const runs = Array.from({ length: MOMENTS }, async (_, index) => ({
      ...(await runIn(`${action}-${index}`, action, name)),
      moment: Math.floor(((index + 0.7) / MOMENTS) * total!),
    }));
    await killAt(await Promise.all(runs));
  });

  it.each(Array.from({ length: MOMENTS }, (_, index) => index))(
    'is finished or undone by the next, moment %i',
    async (index) => {
      const vmx = machineIn(`${action}-${index}`);
      const lockLeft = await again(vmx, action, name);
      const machine = await openMachine(vmx);
      expect(machine.findings).toEqual([]);
      const names = new Set(machine.snapshots.snapshots.map(({ displayName }) => displayName));
      expect([...names]).toEqual(left);
      for (const point of [1, 2, 'running'] as const) {
        const disks =
          point === 'running' ? disksAt(machine) : disksAt(machine, findSnapshot(machine, `uid:${point}`));
        const contents = await readDisk(store, disks[0]!.path);
        expect([point, contents.equals(model.contentsAt(point, 'sata0:1'))]).toEqual([point, true]);
      }
      const odd = (await readdir(join(vmx, '..'))).filter((file) =>
        (lockLeft ? /^\.|\.tmp$/ : /^\.|\.lck$|\.tmp$/).test(file),
      );
      expect(odd).toEqual([]);
    },
  );
});

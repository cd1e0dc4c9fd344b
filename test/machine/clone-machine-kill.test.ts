// Runs that freeze and clone a machine and are killed with SIGKILL, in processes of their own on a real file system:
// the next command finishes them or leaves no trace of them.
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { countCalls, killAt, type Run } from '../support/kills.ts';
import { clonedMachines, contentsOf, forgetEntering } from '../support/machine-clones.ts';
import { buildMachine, hashesIn, type MachineModel } from '../support/machine-model.ts';

const MOMENTS = 4;
const NAMES = ['golden-clone-01', 'golden-clone-02', 'golden-clone-03', 'golden-clone-04'];
const store = createNodeFileStore();

let folder: string;
let model: MachineModel;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-kill-machine-'));
  model = await buildMachine(store, join(folder, 'golden'), { sectors: 512, nodes: ['scsi0:0', 'nvme0:0'] });
  const [total] = await countCalls([await runIn('whole')]);
  const runs = Array.from({ length: MOMENTS }, async (_, index) => ({
    ...(await runIn(`ds-${index}`)),
    moment: Math.floor(((index + 0.7) / MOMENTS) * total!),
  }));
  await killAt(await Promise.all(runs));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** On a datastore of its own with the machine in it. */
async function runIn(name: string): Promise<Run> {
  const ds = join(folder, name);
  await cp(model.folder, join(ds, 'golden'), { recursive: true });
  return { verb: 'clone a machine', args: [join(ds, 'golden/golden.vmx'), ds] };
}

describe('a run that is killed', () => {
  it.each(Array.from({ length: MOMENTS }, (_, index) => index))(
    'is finished or undone by the next, moment %i',
    async (index) => {
      const ds = join(folder, `ds-${index}`);
      await forgetEntering(store, join(ds, 'golden'));
      const machine = join(ds, 'golden/golden.vmx');
      // Every other time, somebody else's command comes next.
      const foreign = index % 2 === 1;
      const request = foreign ? { names: ['other'], full: true } : { count: 4, freeze: true };
      const run = clonedMachines({ machine, into: ds, ...request }, {});
      await run.catch((error: unknown) => {
        // All was in place and the journal gone: the same command finds its work done.
        expect(error).toMatchObject({ code: 'target-exists' });
      });

      const there = (await readdir(ds)).filter((name) => name !== 'golden' && name !== 'other').toSorted();
      expect(there).toEqual(foreign && there.length === 0 ? [] : NAMES);
      for (const vmx of [machine, ...there.map((name) => join(ds, name, `${name}.vmx`))]) {
        const contents = await contentsOf(store, vmx);
        for (const node of model.nodes) {
          expect(contents.get(node)!.equals(model.contentsAt('running', node)), `${vmx} ${node}`).toBe(true);
        }
      }
      const [before, after] = [await model.hashes(), await hashesIn(store, join(ds, 'golden'))];
      const changed = [...before].filter(([name, hash]) => after.get(name) !== hash).map(([name]) => name);
      expect(changed).toEqual(there.length === 0 ? [] : ['golden.vmx']);
      const strange = (await readdir(join(ds, 'golden'))).filter((name) => /^\.|\.lck$/.test(name));
      expect(strange).toEqual([]);
    },
  );
});

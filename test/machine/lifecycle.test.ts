// The life of a linked clone, on real files: made, written to, its base moved, relinked, snapshotted, consolidated and
// removed. After each step every machine reads as a plain buffer says, and nobody else's files have changed.
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { sectors } from '../../src/core/units.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { relink } from '../../src/machine/relink.ts';
import { removeClones } from '../../src/machine/remove.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { temporaryFolder } from '../support/command.ts';
import { clonedMachines, contentsOf } from '../support/machine-clones.ts';
import { buildMachine, hashesIn, readDisk, type MachineModel } from '../support/machine-model.ts';

type Contents = Map<string, Buffer>;

const fs = createNodeFileStore();
const durable = false;
let ds: string;
let remove: () => Promise<void>;
let model: MachineModel;

beforeEach(async () => {
  ({ folder: ds, remove } = await temporaryFolder());
  model = await buildMachine(fs, join(ds, 'golden'));
});
afterEach(() => remove());

const vmx = (name: string): string => join(ds, name, `${name}.vmx`);
const sourceContents = (): Contents =>
  new Map(model.nodes.map((node) => [node, Buffer.from(model.contentsAt(2, node))]));

/** Writes into every disk that the machine runs on, and into what they are expected to read as. */
async function writeInto(name: string, expected: Contents, start: number, seed: number): Promise<void> {
  for (const { node, path } of disksAt(await openMachine(vmx(name), { fs }))) {
    const data = pattern(120 * 512, seed);
    const chain = await openChain(path, 'update', { fs });
    await chain.write(sectors(start), data);
    await chain.close();
    expected.get(node)!.set(data, start * 512);
  }
}

async function expectReads(name: string, expected: Contents): Promise<void> {
  const found = await contentsOf(fs, vmx(name));
  expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [node, contents] of expected)
    expect({ name, node, same: found.get(node)!.equals(contents) }).toEqual({ name, node, same: true });
}

/** Every file of a folder but the snapshot database, in which its machine notes down its clones. */
async function filesOf(folder: string): Promise<Map<string, string>> {
  const hashes = await hashesIn(fs, folder);
  for (const name of hashes.keys())
    if (name.endsWith('.vmsd') || name === '.vmdkit-sharers.json') hashes.delete(name);
  return hashes;
}

it('a linked clone lives and goes, and its siblings and its base stay as they are', async () => {
  const golden = await filesOf(model.folder);
  await clonedMachines(
    { machine: model.vmxPath, into: ds, snapshot: 'patched', names: ['a', 'b', 'c'] },
    { fs, durable },
  );
  const [own, sibling] = [sourceContents(), sourceContents()];
  const siblings = async (): Promise<Map<string, string>[]> =>
    Promise.all(['b', 'c'].map((name) => hashesIn(fs, join(ds, name))));
  let untouched = await siblings();
  const expectOthers = async (base: string): Promise<void> => {
    expect(await siblings()).toEqual(untouched);
    expect(await filesOf(base)).toEqual(golden);
    for (const name of ['b', 'c']) await expectReads(name, sibling);
  };

  await writeInto('a', own, 64, 501);
  await expectReads('a', own);
  await expectOthers(model.folder);

  const moved = join(ds, 'images', 'gold');
  await mkdir(join(ds, 'images'));
  await rename(model.folder, moved);
  await expect(contentsOf(fs, vmx('a'))).rejects.toMatchObject({ code: 'parent-missing' });
  const relinked = await relink({ folders: [ds] }, { fs, durable });
  expect(relinked.disks).toHaveLength(9);
  untouched = await siblings();
  await expectReads('a', own);
  await expectOthers(moved);

  await createSnapshot(vmx('a'), { name: 'before' }, { fs, durable });
  const before = new Map([...own].map(([node, contents]) => [node, Buffer.from(contents)]));
  await writeInto('a', own, 128, 502);
  await expectReads('a', own);
  const machine = await openMachine(vmx('a'), { fs });
  for (const { node, path } of disksAt(machine, findSnapshot(machine, 'before')))
    expect((await readDisk(fs, path)).equals(before.get(node)!)).toBe(true);
  await expectOthers(moved);

  const { merged } = await deleteSnapshot(vmx('a'), 'before', { fs, durable });
  expect(merged).toHaveLength(3);
  await expectReads('a', own);
  expect((await openMachine(vmx('a'), { fs })).disks.map(({ links }) => links.length)).toEqual([3, 3, 3]);
  await expectOthers(moved);

  await removeClones([vmx('a')], { fs, durable });
  expect(await fs.exists(join(ds, 'a'))).toBe(false);
  await expectOthers(moved);
  const source = await openMachine(join(moved, 'golden.vmx'), { fs });
  expect(findSnapshot(source, 'patched').clones).toEqual(['../../b/b.vmx', '../../c/c.vmx']);

  await removeClones([vmx('b'), vmx('c')], { fs, durable });
  expect((await fs.list(ds)).filter((name) => !name.startsWith('.'))).toEqual(['images']);
  expect(await filesOf(moved)).toEqual(golden);
});

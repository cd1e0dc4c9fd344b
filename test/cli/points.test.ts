// A machine or a disk at a snapshot, and a chain of which a part is missing, on the command line.
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, expectValid, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { buildMachine, type MachineModel } from '../support/machine-model.ts';
import { makeSmallChain } from '../support/small-chain.ts';

let root: string;
let remove: () => Promise<void>;
let golden: MachineModel;
let single: MachineModel;

beforeAll(async () => {
  buildCommand();
  ({ folder: root, remove } = await temporaryFolder());
  const store = createNodeFileStore();
  golden = await buildMachine(store, join(root, 'golden'), { nodes: ['scsi0:0', 'sata0:1'] });
  single = await buildMachine(store, join(root, 'single'), { name: 'single', nodes: ['scsi0:0'] });
});
afterAll(() => remove());

const cat = (...args: string[]) => vmdkit(['cat', ...args]);

describe('--at', () => {
  it('reads the one disk of a machine at a name, and tells how a time was answered', async () => {
    const named = await cat(single.vmxPath, '--at', 'installed');
    expect(named.stdout.equals(single.contentsAt(1, 'scsi0:0'))).toBe(true);
    const timed = await cat(single.vmxPath, '--at', '2026-03-02T18:00Z');
    expect(timed.stdout.equals(single.contentsAt(2, 'scsi0:0'))).toBe(true);
    expect(timed.stderr).toContain('answered by snapshot uid:2 "patched"');
  });

  it('reads a disk at a snapshot of the machine beside it, or at the name of a link', async () => {
    const running = single.diskAt('running', 'scsi0:0');
    const named = await cat(running, '--at', 'uid:2');
    expect(named.stdout.equals(single.contentsAt(2, 'scsi0:0'))).toBe(true);
    const linked = await cat(running, '--at', 'single.vmdk');
    expect(linked.stdout.equals(single.contentsAt(1, 'scsi0:0'))).toBe(true);
  });

  it('reads a link of a machine by its name', async () => {
    const linked = await cat(single.vmxPath, '--at', 'single.vmdk');
    expect(linked.stdout.equals(single.contentsAt(1, 'scsi0:0'))).toBe(true);
    const second = await cat(golden.vmxPath, '--at', 'golden_1.vmdk');
    expect(second.stdout.equals(golden.contentsAt(1, 'sata0:1'))).toBe(true);
    const none = await cat(golden.vmxPath, '--at', 'golden_1.vmdk', '--disk', 'scsi0:0');
    expect(none).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/found golden-.*, expected golden_1\.vmdk/),
    });
  });

  it('chooses none of two links that have one name', async () => {
    const [clones, name] = [join(root, 'clones'), 'single.vmdk'];
    await vmdkit(['clone', single.diskAt(1, 'scsi0:0'), '--into', clones, '--name', 'single']);
    const clone = join(clones, name);
    const { code, stderr } = await cat(clone, '--at', name);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `vmdkit: several links are called "single.vmdk": found ${clone}, ${single.diskAt(1, 'scsi0:0')}, expected one link\n  Name the file of the one that is meant in place of the disk, without --at: every link can be read by itself.\n`,
    });
  });

  it('wants to know which disk, and takes it by its place', async () => {
    const { stderr, code } = await cat(golden.vmxPath, '--at', 'patched');
    expect(code).toBe(2);
    expect(stderr).toContain('scsi0:0 golden-000001.vmdk, sata0:1 golden_1-000001.vmdk');
    const chosen = await cat(golden.vmxPath, '--at', 'patched', '--disk', 'sata0:1');
    expect(chosen.stdout.equals(golden.contentsAt(2, 'sata0:1'))).toBe(true);
  });

  it('compares two points of a machine, disk by disk', async () => {
    const args = ['diff', golden.vmxPath, '--at', 'installed', '--at', 'patched', '--json'];
    const documents = JSON.parse(await quietly(args)) as {
      disk: string;
      ranges: { start: number; length: number }[];
    }[];
    for (const document of documents) expectValid('diff', document);
    expect(documents.map(({ disk }) => disk)).toEqual(['scsi0:0', 'sata0:1']);
    for (const { disk, ranges } of documents) {
      const node = disk as 'scsi0:0' | 'sata0:1';
      const [before, after] = [golden.contentsAt(1, node), golden.contentsAt(2, node)];
      const patched = Buffer.from(before);
      for (const { start, length } of ranges) after.copy(patched, start, start, start + length);
      expect(ranges.length).toBeGreaterThan(0);
      expect(patched.equals(after)).toBe(true);
    }
    const same = await vmdkit(['compare', golden.vmxPath, '--at', 'uid:2', '--at', '2']);
    expect(same.code).toBe(0);
    expect(same.stdout.toString()).toMatch(
      /^scsi0:0: the contents are equal.*\nsata0:1: the contents are equal/,
    );
  });
});

describe('--partial', () => {
  it('reads what a delta has, fills the rest as told, lists it, and ends with 1', async () => {
    const folder = join(root, 'partial');
    await createNodeFileStore().makeFolder(folder);
    const { base, leaf, contents } = await makeSmallChain(folder);
    await rename(base, join(root, 'gone.vmdk'));
    const refused = await cat(leaf);
    expect(refused.code).toBe(3);
    const { stdout, stderr, code } = await cat(leaf, '--partial=ee');
    const [mid, own, end] = [(1 << 20) + (1 << 16), 4 << 20, 8 << 20];
    const expected = Buffer.alloc(end, 0xee);
    // The middle link's grain, the one that the leaf zeroes, and the leaf's own.
    contents.copy(expected, mid, mid, mid + (2 << 16));
    contents.copy(expected, own, own, own + (1 << 16));
    expect(code).toBe(1);
    expect(stdout.equals(expected)).toBe(true);
    expect(stderr).toContain('in 3 ranges of the disk are lost; ee stands for each byte');
    expect(stderr).toContain('the parent of this delta cannot be found');
    const map = await vmdkit(['map', leaf, '--partial', '--json']);
    expect(map.code).toBe(1);
    const runs = JSON.parse(map.stdout.toString()) as { start: number; present: boolean; lost?: string }[];
    expectValid('map', runs);
    expect(runs.flatMap(({ start, lost }) => (lost === undefined ? [] : [start]))).toEqual([
      0,
      (1 << 20) + (3 << 16),
      own + (1 << 16),
    ]);
    expect(runs.every(({ present, lost }) => lost === undefined || !present)).toBe(true);
    const converted = await vmdkit(['convert', leaf, join(root, 'p.raw'), '--partial=ff', '--json']);
    expect(converted.code).toBe(1);
    expectValid('convert', JSON.parse(converted.stdout.toString()));
  });
});

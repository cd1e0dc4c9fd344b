// The main job at its full size, by the command and on real files: a thousand clones of a machine of three disks (split
// on SCSI, flat on SATA, thin on NVMe), from one branch of its snapshots, each read whole by us and opened by QEMU.
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { REGISTER_NAME } from '../../src/machine/sharers-register.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, vmdkit } from '../support/command.ts';
import { buildMachine, readDisk, type MachineModel, type ModelPoint } from '../support/machine-model.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { quickFolder } from '../support/quick-folder.ts';

const CLONES = 1000;
const fs = createNodeFileStore({ reads: 'sync' });
/** A sector that the snapshot's own branch wrote. */
const PROBED = { patched: 120, experiment: 310 };
const HEX = /(?:^|> )[\da-f]+:  ((?:[\da-f]{2} ){16})/gm;
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

describeWithPeer(['qemu-io'], 'a thousand clones of a machine', ({ 'qemu-io': io }) => {
  let folder: string;
  let remove: () => Promise<void>;
  let model: MachineModel;
  beforeAll(() => buildCommand());
  beforeEach(async () => {
    ({ folder, remove } = await quickFolder());
    model = await buildMachine(fs, join(folder, 'golden'), { sectors: 512 });
  });
  afterEach(() => remove());

  /** What QEMU reads of one sector of each disk; one process opens them all. */
  async function qemuReads(disks: readonly string[], sector: number): Promise<string[]> {
    const input = disks.map(
      (disk) => `open -r -o driver=vmdk ${disk}\nread -v ${sector * SECTOR_BYTES} ${SECTOR_BYTES}\nclose\n`,
    );
    const { stdout, stderr, code } = await io.run([], { cwd: folder, input: input.join('') });
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const bytes = Buffer.from(
      [...stdout.matchAll(HEX)]
        .map(([, row]) => row)
        .join('')
        .replaceAll(' ', ''),
      'hex',
    );
    expect(bytes).toHaveLength(disks.length * SECTOR_BYTES);
    return disks.map((_, index) => sha256(bytes.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES)));
  }

  it.each<[keyof typeof PROBED, ModelPoint, number]>([
    ['patched', 2, CLONES],
    // The other branch.
    ['experiment', 3, 10],
  ])(
    'from the snapshot %s read as it does, and change no disk of it',
    async (snapshot, point, count) => {
      const before = await model.hashes();
      const args = ['clone', 'golden/golden.vmx', '--into', '.', '--snapshot', snapshot];
      const made = await vmdkit([...args, '--name', `lab-{0001..${count}}`], { cwd: folder });
      expect(made.code).toBe(0);
      expect(made.stderr).toContain(`${count === CLONES ? '1,000' : count} machines in `);

      const after = await model.hashes();
      expect(after.delete(REGISTER_NAME)).toBe(true);
      for (const hashes of [before, after]) expect(hashes.delete('golden.vmsd')).toBe(true);
      expect(after).toEqual(before);

      const names = (await readdir(folder)).filter((name) => name.startsWith('lab-'));
      expect(names).toHaveLength(count);
      for (const [index, node] of model.nodes.entries()) {
        const disks = names.map((name) => `${name}/${name}${index === 0 ? '' : `_${index}`}.vmdk`);
        const wanted = model.contentsAt(point, node);
        const differing: string[] = [];
        for (const disk of disks)
          if (!(await readDisk(fs, join(folder, disk))).equals(wanted)) differing.push(disk);
        expect(differing).toEqual([]);
        const at = PROBED[snapshot] * SECTOR_BYTES;
        const probe = sha256(wanted.subarray(at, at + SECTOR_BYTES));
        expect(sha256(model.contentsAt(1, node).subarray(at, at + SECTOR_BYTES))).not.toBe(probe);
        expect(new Set(await qemuReads(disks, PROBED[snapshot]))).toEqual(new Set([probe]));
      }
    },
    300_000,
  );
});

// What QEMU makes, and what vmdkit makes, is sound under `check`, and `qemu-img check` agrees where it looks at all.
// What qemu-img lets pass is found here.
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { checkDisk, type CheckReport } from '../../src/operations/check-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { applyByUs, MIB, QEMU_SUBFORMATS, QemuImages, randomWork } from '../support/qemu-images.ts';

const SIZE = 40 * MIB;

/** Without what is only information. */
function worthSaying({ problems }: CheckReport): string[] {
  return problems
    .filter(({ severity }) => severity !== 'info')
    .map(({ severity, code }) => `${severity} ${code}`);
}

describeWithPeer(['qemu-img', 'qemu-io'], 'check beside QEMU', (peers) => {
  let images: QemuImages;
  beforeAll(async () => {
    images = await QemuImages.open(peers['qemu-img'], peers['qemu-io']);
  });
  afterAll(() => images.close());

  it.each(QEMU_SUBFORMATS)(
    "a written %s disk of QEMU is sound, and its numbers are QEMU's",
    async (subformat) => {
      const name = `written-${subformat}.vmdk`;
      const path = await images.create(name, { size: SIZE, subformat });
      await images.apply(name, randomWork(7, SIZE, 60, 0));
      const report = await checkDisk(path, { chain: true });
      expect(worthSaying(report)).toEqual([]);
      const theirs = JSON.parse(await peers['qemu-img'].ok(['check', '--output', 'json', path])) as Record<
        string,
        unknown
      >;
      const { 'check-errors': errors, 'image-end-offset': end } = report;
      expect(errors).toBe(theirs['check-errors']);
      expect(report.corruptions).toBe(theirs['corruptions'] ?? 0);
      if (subformat === 'monolithicSparse') expect(end).toBe((await readFile(path)).length);
    },
  );

  it('a streamOptimized disk of QEMU is sound to the last byte', async () => {
    await images.create('source.vmdk', { size: SIZE });
    await images.apply('source.vmdk', randomWork(8, SIZE, 60, 4));
    const path = await images.convert('source.vmdk', 'stream.vmdk', 'streamOptimized');
    const report = await checkDisk(path, { deep: true });
    expect(worthSaying(report)).toEqual([]);
    expect(report['compressed-clusters']).toBeGreaterThan(10);
    expect(report['compressed-clusters']).toBe(report['allocated-clusters']);
  });

  it('zeroed grains of QEMU are declared; the space they gave up is lost', async () => {
    const path = await images.create('zeroed.vmdk', { size: SIZE, more: ['zeroed_grain=on'] });
    await images.apply('zeroed.vmdk', [
      { do: 'write', at: 0, length: 65536, fill: 1 },
      { do: 'write', at: 65536, length: 65536, fill: 2 },
      { do: 'zero', at: 0, length: 65536, fill: 0 },
    ]);
    const report = await checkDisk(path);
    expect(worthSaying(report)).toEqual(['warning LEAK']);
    expect(report).toMatchObject({
      verdict: 'sound',
      leaks: 1,
      'leaked-bytes': 65536,
      'allocated-clusters': 1,
    });
  });

  it('a chain of QEMU is sound until its base is written, which qemu-img does not notice', async () => {
    const base = await images.create('base.vmdk', { size: SIZE });
    await images.apply('base.vmdk', randomWork(9, SIZE, 20, 0));
    const leaf = await images.create('leaf.vmdk', { backing: base });
    await images.apply('leaf.vmdk', randomWork(10, SIZE, 20, 0));
    expect(worthSaying(await checkDisk(leaf, { chain: true }))).toEqual([]);
    await images.apply('base.vmdk', [{ do: 'write', at: 0, length: 512, fill: 3 }]);
    await images.expectSound('leaf.vmdk');
    expect(worthSaying(await checkDisk(leaf, { chain: true }))).toEqual(['error CHAIN-CID']);
    await rm(base);
    expect(worthSaying(await checkDisk(leaf, { chain: true }))).toEqual(['error CHAIN-MISSING']);
  });

  it('two grains at one place, and a grain in the header, are found where qemu-img check finds nothing', async () => {
    const path = await images.create('crossed.vmdk', { size: SIZE });
    await images.apply('crossed.vmdk', [
      { do: 'write', at: 0, length: 65536, fill: 1 },
      { do: 'write', at: 65536, length: 65536, fill: 2 },
    ]);
    await patchBothTables(path, 1, (entries) => entries.readUInt32LE(0));
    await images.expectSound('crossed.vmdk');
    expect(worthSaying(await checkDisk(path))).toEqual(['error GRAIN-OVERLAP']);
    await patchBothTables(path, 1, () => 2);
    await images.expectSound('crossed.vmdk');
    expect(worthSaying(await checkDisk(path))).toEqual(['error GTE-RANGE']);
  });

  it('a disk cut short is found as qemu-img finds it', async () => {
    const path = await images.create('cut.vmdk', { size: SIZE });
    await images.apply('cut.vmdk', randomWork(11, SIZE, 60, 0));
    const { length } = await readFile(path);
    await truncate(path, length - 3 * 65536);
    const { corruptions } = await checkDisk(path);
    expect(corruptions).toBe(3);
    expect((await peers['qemu-img'].run(['check', path])).code).not.toBe(0);
  });
});

describeWithPeer(['qemu-img', 'qemu-io'], 'check of what vmdkit makes', (peers) => {
  let images: QemuImages;
  beforeAll(async () => {
    images = await QemuImages.open(peers['qemu-img'], peers['qemu-io']);
  });
  afterAll(() => images.close());

  it.each(['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'vmfs'])(
    'a %s disk is sound, empty and written',
    async (type) => {
      const path = images.path(`ours-${type}.vmdk`);
      await createDisk(path, bytes(SIZE), { type });
      expect(worthSaying(await checkDisk(path))).toEqual([]);
      await applyByUs(path, randomWork(12, SIZE, 60));
      expect(worthSaying(await checkDisk(path))).toEqual([]);
    },
  );

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse', 'vmfsSparse', 'seSparse'])(
    'a %s delta is sound, empty and written',
    async (type) => {
      const [base, path] = [images.path(`base-${type}.vmdk`), images.path(`delta-${type}.vmdk`)];
      await createDisk(base, bytes(SIZE), {});
      await createDelta(path, base, { type });
      expect(worthSaying(await checkDisk(path, { chain: true }))).toEqual([]);
      if (type === 'seSparse') return;
      await applyByUs(path, randomWork(13, SIZE, 60));
      const chain = await openChain(path, 'update');
      await chain.write(4000 as Sectors, Buffer.alloc(SECTOR_BYTES, 1));
      await chain.close();
      // Zeroing grains that had data gives their space up, as with every writer.
      const found = worthSaying(await checkDisk(path, { chain: true }));
      expect(found.filter((each) => each !== 'warning LEAK')).toEqual([]);
    },
  );
});

/** Writes an entry of table 0 of a disk of QEMU, whose tables follow its directories, in both copies. */
async function patchBothTables(
  path: string,
  grain: number,
  entryOf: (entries: Buffer) => number,
): Promise<void> {
  const content = await readFile(path);
  const { rgdOffset, gdOffset } = SparseExtentHeader.decode(content);
  for (const directory of [rgdOffset, gdOffset]) {
    const table = content.readUInt32LE(Number(directory) * SECTOR_BYTES) * SECTOR_BYTES;
    content.writeUInt32LE(entryOf(content.subarray(table)), table + grain * 4);
  }
  await writeFile(path, content);
}

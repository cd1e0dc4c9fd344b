// What other people's programs make of the disks we create: they must open every type they know, and find it empty
// or equal to its parent. Rule: the expectations come from them, never from our own reader.
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { allocatedBytes } from '../../src/operations/disk-plan.ts';
import { NEW_DELTA_TYPES } from '../../src/operations/plan-delta.ts';
import { NEW_BASE_TYPES } from '../../src/operations/plan-disk.ts';
import { describeWithPeer, type Peer } from '../support/peer-tools.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** No multiple of any grain. */
const ODD = 5 * MIB + 512 * 3;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-interop-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** The part of `qemu-img info --output json` that is looked at. */
interface QemuInfo {
  readonly 'virtual-size': number;
  readonly 'full-backing-filename'?: string;
  readonly 'format-specific': { readonly data: { readonly extents: readonly object[] } };
}

async function infoOf(qemu: Peer, path: string): Promise<QemuInfo> {
  return JSON.parse(await qemu.ok(['info', '--output', 'json', '-f', 'vmdk', path])) as QemuInfo;
}

/** The contents as QEMU reads them through the whole chains, one after the other. */
async function rawOf(qemu: Peer, ...paths: string[]): Promise<Buffer> {
  const raw = join(folder, 'contents.raw');
  await qemu.ok(['convert', '-f', 'vmdk', '-O', 'raw', ...paths, raw]);
  const content = await readFile(raw);
  await rm(raw);
  return content;
}

describeWithPeer('qemu-img', 'new disks in QEMU', ({ 'qemu-img': qemu }) => {
  it('opens a disk of every type, finds it sound, as large as asked for, and all zeros', async () => {
    const paths = NEW_BASE_TYPES.map((type) => join(folder, `${type}.vmdk`));
    for (const [index, type] of NEW_BASE_TYPES.entries()) {
      const made = await createDisk(paths[index]!, bytes(ODD), { type });
      const info = await infoOf(qemu, paths[index]!);
      expect(info).toMatchObject({
        'virtual-size': ODD,
        'format-specific': { data: { cid: made.cid, 'parent-cid': 0xffffffff, 'create-type': type } },
      });
      expect(await qemu.ok(['check', '-f', 'vmdk', paths[index]!])).toContain('No errors were found');
    }
    expect((await rawOf(qemu, ...paths)).equals(Buffer.alloc(ODD * paths.length))).toBe(true);
  });

  it('opens sparse disks with grains of any size', async () => {
    const paths: string[] = [];
    for (const grainSize of [1, 8, 16, 2048]) {
      for (const type of ['monolithicSparse', 'twoGbMaxExtentSparse']) {
        const path = join(folder, `${type}-${grainSize}.vmdk`);
        paths.push(path);
        await createDisk(path, bytes(ODD), { type, grainSize });
        const info = await infoOf(qemu, path);
        expect(info['format-specific'].data.extents[0]).toMatchObject({ 'cluster-size': grainSize * 512 });
        expect(await qemu.ok(['check', '-f', 'vmdk', path])).toContain('No errors were found');
      }
    }
    expect((await rawOf(qemu, ...paths)).equals(Buffer.alloc(ODD * paths.length))).toBe(true);
  });

  it('opens split disks of many extents, each of the size that QEMU expects', async () => {
    for (const type of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
      const path = join(folder, `${type}.vmdk`);
      await createDisk(path, bytes(7 * GIB), { type });
      const info = await infoOf(qemu, path);
      expect(info['virtual-size']).toBe(7 * GIB);
      expect(info['format-specific'].data.extents).toHaveLength(4);
      expect(await qemu.ok(['check', '-f', 'vmdk', path])).toContain('No errors were found');
    }
  });

  it('opens the largest hosted sparse disk there can be, which takes under 2 MiB', async () => {
    const path = join(folder, 'x.vmdk');
    const largest = (2 ** 32 - 525_440) * 512;
    const made = await createDisk(path, bytes(largest));
    expect((await infoOf(qemu, path))['virtual-size']).toBe(largest);
    const { blocks } = await stat(path);
    expect(blocks * 512).toBeLessThan(2 * MIB);
    expect(blocks * 512).toBeLessThanOrEqual(allocatedBytes(made));
  });

  it('takes the space that the plan says: all of it for thick, next to none for thin', async () => {
    for (const thin of [false, true]) {
      const path = join(folder, `thin-${thin}.vmdk`);
      const made = await createDisk(path, bytes(8 * MIB), { type: 'vmfs', thin });
      const { blocks, size } = await stat(path.replace('.vmdk', '-flat.vmdk'));
      expect(size).toBe(8 * MIB);
      expect(blocks * 512).toBe(thin ? 0 : 8 * MIB);
      expect(allocatedBytes(made)).toBe(blocks * 512 + 4096);
    }
  });
});

describeWithPeer(['qemu-img', 'qemu-io'], 'new deltas in QEMU', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  /** A disk that QEMU made and wrote some patterns into. */
  async function qemuBase(path: string, subformat: string): Promise<Buffer> {
    await qemu.ok(['create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, path, String(ODD)]);
    const writes = ['write -P 0x11 0 4096', 'write -P 0x22 1m 65536', `write -P 0x33 ${ODD - 512} 512`];
    await io.ok(['-f', 'vmdk', ...writes.flatMap((command) => ['-c', command]), path]);
    return rawOf(qemu, path);
  }

  const subformats = ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'];
  it.each(subformats)(
    'reads a delta of any type above a %s base of its own as that base',
    async (subformat) => {
      for (const name of ['base', 'clones']) await mkdir(join(folder, name));
      const base = join(folder, 'base/base.vmdk');
      const content = await qemuBase(base, subformat);
      expect(content.includes(0x33)).toBe(true);
      const paths = NEW_DELTA_TYPES.map((delta) => join(folder, `clones/${delta}.vmdk`));
      for (const [index, delta] of NEW_DELTA_TYPES.entries()) {
        const made = await createDelta(paths[index]!, base, { type: delta });
        expect(await infoOf(qemu, paths[index]!)).toMatchObject({
          'virtual-size': ODD,
          'backing-filename': '../base/base.vmdk',
          'format-specific': { data: { cid: made.cid, 'parent-cid': made.cid, 'create-type': delta } },
        });
      }
      const found = await rawOf(qemu, ...paths);
      expect(found.equals(Buffer.concat(paths.map(() => content)))).toBe(true);
    },
  );

  it('reads the delta that VMware would choose above our own base of any type', async () => {
    const deltas = NEW_BASE_TYPES.map((type) => join(folder, `${type}-d.vmdk`));
    for (const [index, type] of NEW_BASE_TYPES.entries()) {
      const parent = join(folder, `${type}.vmdk`);
      await createDisk(parent, bytes(ODD), { type });
      await createDelta(deltas[index]!, parent);
      expect((await infoOf(qemu, deltas[index]!))['full-backing-filename']).toBe(parent);
    }
    expect((await rawOf(qemu, ...deltas)).equals(Buffer.alloc(ODD * deltas.length))).toBe(true);
  });

  it('writes into our hosted deltas, finds them sound, and leaves the base alone', async () => {
    for (const type of ['monolithicSparse', 'twoGbMaxExtentSparse']) {
      const parent = join(folder, `${type}-base.vmdk`);
      const content = await qemuBase(parent, 'monolithicSparse');
      const before = await readFile(parent);
      const path = join(folder, `${type}-d.vmdk`);
      await createDelta(path, parent, { type });
      await io.ok([
        '-f',
        'vmdk',
        '-c',
        'write -P 0x44 2m 1536',
        '-c',
        `write -P 0x55 ${ODD - 1024} 1024`,
        path,
      ]);
      content.fill(0x44, 2 * MIB, 2 * MIB + 1536);
      content.fill(0x55, ODD - 1024);
      expect((await rawOf(qemu, path)).equals(content)).toBe(true);
      expect(await qemu.ok(['check', '-f', 'vmdk', path])).toContain('No errors were found');
      expect((await readFile(parent)).equals(before)).toBe(true);
    }
  });

  it('reads a chain of every type of delta, one above the other', async () => {
    const content = await qemuBase(join(folder, 'link-0.vmdk'), 'monolithicSparse');
    for (const [index, type] of NEW_DELTA_TYPES.entries()) {
      await createDelta(join(folder, `link-${index + 1}.vmdk`), join(folder, `link-${index}.vmdk`), { type });
    }
    expect((await rawOf(qemu, join(folder, `link-${NEW_DELTA_TYPES.length}.vmdk`))).equals(content)).toBe(
      true,
    );
  });
});

describeWithPeer('vmdkinfo', 'new disks in libvmdk', ({ vmdkinfo }) => {
  it.each(NEW_BASE_TYPES)('reads a %s disk', async (type) => {
    const path = join(folder, 'x.vmdk');
    await createDisk(path, bytes(ODD), { type, cid: 0x0afba0c7 });
    const printed = await vmdkinfo.ok([path]);
    expect(printed).toMatch(/Content identifier:\s+0x0afba0c7/);
    expect(printed).toContain(`(${ODD} bytes)`);
    expect(printed).toMatch(/Number of extents:\s+1\n/);
  });

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse', 'vmfsSparse'])('reads a %s delta', async (type) => {
    await createDisk(join(folder, 'base.vmdk'), bytes(ODD), { cid: 0x1234abcd });
    await createDelta(join(folder, 'd.vmdk'), join(folder, 'base.vmdk'), { type });
    const printed = await vmdkinfo.ok([join(folder, 'd.vmdk')]);
    expect(printed).toMatch(/Content identifier:\s+0x1234abcd/);
    expect(printed).toMatch(/Parent content identifier:\s+0x1234abcd/);
  });
});

describeWithPeer('7zz', 'new disks in 7-Zip', ({ '7zz': sevenZip }) => {
  it.each(NEW_BASE_TYPES)('tests and extracts a %s disk as zeros', async (type) => {
    const path = join(folder, 'x.vmdk');
    const size = 5 * MIB;
    await createDisk(path, bytes(size), { type });
    expect(await sevenZip.ok(['t', '-tvmdk', path])).toContain('Everything is Ok');
    await sevenZip.ok(['x', '-tvmdk', `-o${join(folder, 'out')}`, path]);
    const [name] = await readdir(join(folder, 'out'));
    expect((await readFile(join(folder, 'out', name!))).equals(Buffer.alloc(size))).toBe(true);
  });
});

describe('disks for other programs', () => {
  it('are made with plain read and write permissions, so that they can be shared', async () => {
    await createDisk(join(folder, 'x.vmdk'), bytes(MIB), { type: 'monolithicFlat' });
    const modes = await Promise.all(['x.vmdk', 'x-flat.vmdk'].map((name) => stat(join(folder, name))));
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual(modes.map(() => 0o666 & ~process.umask()));
  });
});

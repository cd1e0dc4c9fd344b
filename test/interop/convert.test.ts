// Disks that we converted, as other people's programs read them: sound, and equal to what they were made from. Rule:
// the raw content is compared by them, never by our own reader.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { convertDisk, convertToStream } from '../../src/operations/convert-disk.ts';
import { CONVERTED_TYPES } from '../../src/operations/plan-disk.ts';
import { NEW_DELTA_TYPES } from '../../src/operations/plan-delta.ts';
import { describeWithPeer } from '../support/peer-tools.ts';

const MIB = 2 ** 20;
/** No multiple of any grain. */
const ODD = 5 * MIB + 512 * 3;

let folder: string;
let raw: string;
let content: Buffer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-interop-'));
  content = Buffer.alloc(ODD);
  for (let at = 0, state = 5; at < ODD; at += 100_003) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    content.fill(`${state} `, at, Math.min(ODD, at + (state % 70_000)));
  }
  content[ODD - 1] = 1;
  raw = join(folder, 'source.raw');
  await writeFile(raw, content);
});
afterEach(() => rm(folder, { recursive: true }));

const SPLIT = { splitSectors: 4096 };

describeWithPeer('qemu-img', 'converted disks in QEMU', ({ 'qemu-img': qemu }) => {
  it.each(CONVERTED_TYPES)('finds %s sound and equal to the source', async (type) => {
    const path = join(folder, 'x.vmdk');
    await convertDisk(raw, path, { from: 'raw', type, ...(type.startsWith('twoGb') ? SPLIT : {}) });
    expect(await qemu.ok(['check', '-f', 'vmdk', path])).toContain('No errors were found');
    expect(await qemu.ok(['compare', '-f', 'raw', '-F', 'vmdk', raw, path])).toContain('identical');
  });

  it.each(NEW_DELTA_TYPES)('reads a %s delta through its parent', async (type) => {
    await convertDisk(raw, join(folder, 'base.vmdk'), { from: 'raw', type: 'monolithicSparse' });
    content.fill(0, MIB, 2 * MIB).fill('new', 4 * MIB, 4 * MIB + 5000);
    await writeFile(raw, content);
    const path = join(folder, 'x.vmdk');
    const options = { from: 'raw', type, backing: join(folder, 'base.vmdk') } as const;
    await convertDisk(raw, path, { ...options, ...(type.startsWith('twoGb') ? SPLIT : {}) });
    expect(await qemu.ok(['compare', '-f', 'raw', '-F', 'vmdk', raw, path])).toContain('identical');
  });

  it('makes what we read of a stream that it wrote, and the same of ours', async () => {
    const theirs = join(folder, 'theirs.vmdk');
    await qemu.ok(['convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized', raw, theirs]);
    await convertDisk(theirs, join(folder, 'ours.vmdk'), { type: 'streamOptimized' });
    await convertDisk(join(folder, 'ours.vmdk'), join(folder, 'back.raw'));
    expect((await readFile(join(folder, 'back.raw'))).equals(content)).toBe(true);
  });
});

/** Neither of the two knows seSparse, and neither follows a parent. */
const READ_BY_OTHERS = CONVERTED_TYPES.filter((type) => type !== 'seSparse');

describeWithPeer('7zz', 'converted disks in 7-Zip', ({ '7zz': sevenZip }) => {
  it.each(READ_BY_OTHERS)('takes all of a %s disk out, as it was', async (type) => {
    await convertDisk(raw, join(folder, 'x.vmdk'), {
      from: 'raw',
      type,
      ...(type.startsWith('twoGb') ? SPLIT : {}),
    });
    await sevenZip.ok(['e', '-y', `-o${join(folder, 'out')}`, join(folder, 'x.vmdk')]);
    const [name] = await readdir(join(folder, 'out'));
    expect((await readFile(join(folder, 'out', name!))).equals(content)).toBe(true);
  });
});

describeWithPeer(['vmdkinfo', 'img_cat'], 'converted disks in libvmdk', ({ vmdkinfo, img_cat: imgCat }) => {
  it.each(READ_BY_OTHERS)('reads all of a %s disk, as it was', async (type) => {
    const path = join(folder, 'x.vmdk');
    await convertDisk(raw, path, { from: 'raw', type, ...(type.startsWith('twoGb') ? SPLIT : {}) });
    expect(await vmdkinfo.ok([path])).toContain(`(${ODD} bytes)`);
    // The Sleuth Kit reads VMDK through libvmdk.
    const { status, stdout } = spawnSync(imgCat.path, ['-i', 'vmdk', path], { maxBuffer: 2 * ODD });
    expect({ status, equal: stdout.equals(content) }).toEqual({ status: 0, equal: true });
  });
});

describeWithPeer(['qemu-img', '7zz', 'img_cat'], 'the stream of a chain', (peers) => {
  it('goes through a pipe and is equal in QEMU, 7-Zip and libvmdk', async () => {
    const [base, leaf, path] = ['base.vmdk', 'leaf.vmdk', 'stream.vmdk'].map((name) => join(folder, name));
    await convertDisk(raw, base!, { from: 'raw', type: 'vmfs', thin: true });
    content.fill('new', 4 * MIB, 4 * MIB + 5000).fill(0, MIB, 2 * MIB);
    await writeFile(raw, content);
    await convertDisk(raw, leaf!, { from: 'raw', type: 'vmfsSparse', backing: base! });
    const pieces: Buffer[] = [];
    await convertToStream(leaf!, async (data) => void pieces.push(Buffer.from(data)));
    await writeFile(path!, Buffer.concat(pieces));
    const qemu = peers['qemu-img'];
    expect(await qemu.ok(['check', '-f', 'vmdk', path!])).toContain('No errors were found');
    expect(await qemu.ok(['compare', '-f', 'raw', '-F', 'vmdk', raw, path!])).toContain('identical');
    await peers['7zz'].ok(['e', '-y', `-o${join(folder, 'out')}`, path!]);
    const [name] = await readdir(join(folder, 'out'));
    expect((await readFile(join(folder, 'out', name!))).equals(content)).toBe(true);
    const { stdout } = spawnSync(peers.img_cat.path, ['-i', 'vmdk', path!], { maxBuffer: 2 * ODD });
    expect(stdout.equals(content)).toBe(true);
  });
});

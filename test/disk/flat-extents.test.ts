// Extents of raw bytes and of none: FLAT with an offset, VMFS, ZERO, RDONLY and NOACCESS, alone and mixed in one disk.
import { describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { craftMonolithic, craftSparse, marked, SECTOR, storeOf, text } from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const DISK = '/vm/disk.vmdk';
const FLAT = '/vm/disk-flat.vmdk';
type Files = Record<string, Buffer | string>;
const zeros = (sectors: number): Buffer => Buffer.alloc(sectors * SECTOR);
const filesOf = (extents: readonly string[], more: Files = {}): Files => ({
  [DISK]: text({ extents }),
  [FLAT]: marked('f', 0, 32),
  ...more,
});
const read = (extents: readonly string[], more: Files = {}, options = {}) =>
  readAll(DISK, { fs: storeOf(filesOf(extents, more)), ...options });

async function contentOfFile(fs: ReturnType<typeof storeOf>, path: string): Promise<Buffer> {
  const file = await fs.open(path, 'read');
  const content = Buffer.alloc(await file.size());
  await file.readExactly(content, 0);
  await file.close();
  return content;
}

describe('a flat extent', () => {
  it('starts at its offset in the file', async () => {
    expectSame(await read(['RW 8 FLAT "disk-flat.vmdk" 0']), marked('f', 0, 8));
    expectSame(await read(['RW 8 FLAT "disk-flat.vmdk" 24']), marked('f', 24, 8));
    expectSame(await read(['RW 8 FLAT "disk-flat.vmdk"']), marked('f', 0, 8));
  });

  it('of type VMFS is the same, also with the offset that real disks have', async () => {
    expectSame(await read(['RW 8 VMFS "disk-flat.vmdk"']), marked('f', 0, 8));
    expectSame(await read(['RW 8 VMFS "disk-flat.vmdk" 0']), marked('f', 0, 8));
  });

  it('is cut into others of one file at will', async () => {
    const extents = [
      'RW 3 FLAT "disk-flat.vmdk" 29',
      'RW 1 FLAT "disk-flat.vmdk" 0',
      'RW 5 FLAT "disk-flat.vmdk" 7',
    ];
    const expected = Buffer.concat([marked('f', 29, 3), marked('f', 0, 1), marked('f', 7, 5)]);
    expectSame(await read(extents), expected);
  });

  it('past the end of its file is refused at the door, not read as zeros', async () => {
    for (const [sectors, offset] of [
      [33, 0],
      [32, 1],
      [1, 32],
      [1, 2 ** 40],
      [17592186044415, 17592186044415],
    ]) {
      const error = await bounded(() => failureOf(read([`RW ${sectors} FLAT "disk-flat.vmdk" ${offset}`])));
      expect(error, `${sectors} at ${offset}`).toMatchObject({
        code: 'extent-too-short',
        context: { path: FLAT },
      });
    }
    const cut = { [FLAT]: marked('f', 0, 32).subarray(0, 32 * SECTOR - 1) };
    expect(await failureOf(read(['RW 32 FLAT "disk-flat.vmdk" 0'], cut))).toMatchObject({
      code: 'extent-too-short',
    });
  });

  it('may be followed by more in its file', async () => {
    expectSame(
      await read(['RW 31 FLAT "disk-flat.vmdk" 0'], {
        [FLAT]: Buffer.concat([marked('f', 0, 32), Buffer.from('x')]),
      }),
      marked('f', 0, 31),
    );
  });

  it('that is missing is named, with its line', async () => {
    expect(await failureOf(read(['RW 8 FLAT "gone.vmdk" 0']))).toMatchObject({
      kind: 'missing',
      code: 'extent-missing',
      context: { path: DISK, line: 7 },
      message: expect.stringContaining('/vm/gone.vmdk') as string,
    });
  });

  it('may have any lawful name: blanks, quotes, brackets, other scripts, backslashes for folders', async () => {
    for (const [name, path = `/vm/${name}`] of [
      ['my disk.vmdk'],
      ['a"b.vmdk'],
      ['[ds] x.vmdk'],
      ['\u0434\u0438\u0441\u043a.vmdk'],
      ['#1.vmdk'],
      ['sub\\x.vmdk', '/vm/sub/x.vmdk'],
      ['b|41r.vmdk', '/vm/bAr.vmdk'],
    ]) {
      expectSame(
        await read([`RW 1 FLAT "${name}" 0`], { [path!]: marked('n', 0, 1) }),
        marked('n', 0, 1),
        name,
      );
    }
  });

  it('of no sectors does not shift the others', async () => {
    const extents = [
      'RW 0 FLAT "disk-flat.vmdk" 0',
      'RW 4 FLAT "disk-flat.vmdk" 4',
      'RW 0 ZERO',
      'RW 4 FLAT "disk-flat.vmdk" 20',
      'RW 0 FLAT "disk-flat.vmdk" 1',
    ];
    expectSame(await read(extents), Buffer.concat([marked('f', 4, 4), marked('f', 20, 4)]));
  });
});

describe('a ZERO extent', () => {
  it('reads zeros, never the parent, in the middle of others', async () => {
    const parent = craftMonolithic(
      { capacity: 24, grains: Object.fromEntries([0, 1, 2].map((n) => [n, marked('p', n * 8, 8)])) },
      { cid: 'a' },
    );
    const sparse = craftSparse({ capacity: 8 });
    const files: Files = {
      [DISK]: text({
        parentCid: 'a',
        hint: 'p.vmdk',
        extents: ['RW 8 SPARSE "s.vmdk"', 'RW 8 ZERO ', 'RW 8 FLAT "disk-flat.vmdk" 0'],
      }),
      [FLAT]: marked('f', 0, 8),
      '/vm/s.vmdk': sparse.bytes,
      '/vm/p.vmdk': parent.bytes,
    };
    expectSame(
      await readAll(DISK, { fs: storeOf(files) }),
      Buffer.concat([marked('p', 0, 8), zeros(8), marked('f', 0, 8)]),
    );
  });

  it('opens no file, whatever it names', async () => {
    const recording = recordStore(storeOf(filesOf(['RW 8 ZERO "disk-flat.vmdk" 0', 'RW 1 ZERO'])));
    expectSame(await readAll(DISK, { fs: recording.store }), zeros(9));
    expect(recording.opened).toEqual([DISK]);
  });

  it('is not written: the disk, its content id included, stays as it was', async () => {
    const fs = storeOf(filesOf(['RW 8 ZERO', 'RW 8 FLAT "disk-flat.vmdk" 0']));
    const before = await contentOfFile(fs, DISK);
    const chain = await openChain(DISK, 'update', { fs });
    expect(await failureOf(chain.write(0 as never, marked('w', 0, 1)))).toMatchObject({
      kind: 'refused',
      code: 'extent-read-only',
      context: { path: DISK, line: 7, found: 'RW ZERO' },
    });
    await chain.flush();
    await chain.close();
    expectSame(await contentOfFile(fs, DISK), before);
  });
});

describe('a NOACCESS extent', () => {
  const extents = [
    'RW 8 FLAT "disk-flat.vmdk" 0',
    'NOACCESS 8 FLAT "disk-flat.vmdk" 8',
    'RW 8 FLAT "disk-flat.vmdk" 16',
  ];

  it('is an error where it is read, and only there', async () => {
    const disk = await openDisk(DISK, { fs: storeOf(filesOf(extents)) });
    const part = zeros(8);
    for (const start of [0, 16]) {
      await disk.read(sectorRange(start, 8), part);
      expectSame(part, marked('f', start, 8));
    }
    for (const [start, count] of [
      [8, 8],
      [15, 1],
      [7, 2],
      [0, 24],
    ]) {
      const work = disk.read(sectorRange(start!, count!), zeros(count!));
      expect(await failureOf(work)).toMatchObject({
        code: 'extent-not-accessible',
        context: { path: DISK, line: 8 },
      });
    }
    await disk.close();
  });

  it('reads as zeros when the caller says so, above a parent with data as well', async () => {
    const expected = Buffer.concat([marked('f', 0, 8), zeros(8), marked('f', 16, 8)]);
    expectSame(await read(extents, {}, { noAccess: 'zeros' }), expected);
    const files = {
      ...filesOf(extents),
      [DISK]: text({ parentCid: 'a', hint: 'p.vmdk', extents }),
      '/vm/p.vmdk': craftMonolithic({ capacity: 24, grains: { 1: marked('p', 8, 8) } }, { cid: 'a' }).bytes,
    };
    expectSame(await readAll(DISK, { fs: storeOf(files), noAccess: 'zeros' }), expected);
    expect(await failureOf(readAll(DISK, { fs: storeOf(files) }))).toMatchObject({
      code: 'extent-not-accessible',
    });
  });

  it('opens no file: what it names may be missing or forbidden', async () => {
    const recording = recordStore(
      storeOf(filesOf(['NOACCESS 8 FLAT "gone" 0', 'NOACCESS 4 SPARSE "../../etc/passwd"', 'RW 1 ZERO'])),
    );
    expectSame(await readAll(DISK, { fs: recording.store, noAccess: 'zeros' }), zeros(13));
    expect(recording.opened).toEqual([DISK]);
    expectAllClosed(recording);
  });
});

describe('a RDONLY extent', () => {
  const extents = ['RDONLY 8 FLAT "disk-flat.vmdk" 0', 'RW 8 FLAT "disk-flat.vmdk" 8'];

  it('is read like any other, of every type', async () => {
    expectSame(await read(extents), marked('f', 0, 16));
    const { bytes } = craftSparse({ capacity: 8, grains: { 0: marked('s', 0, 8) } });
    expectSame(await read(['RDONLY 8 SPARSE "s.vmdk"'], { '/vm/s.vmdk': bytes }), marked('s', 0, 8));
  });

  it('is not written, and neither is anything else then: no new content id, no unclean mark', async () => {
    const sparse = craftSparse({ capacity: 8 }).bytes;
    const files = filesOf(['RDONLY 8 SPARSE "s.vmdk"', 'RW 8 FLAT "disk-flat.vmdk" 8'], {
      '/vm/s.vmdk': sparse,
    });
    const recording = recordStore(storeOf(files));
    const fs = recording.store;
    const before = await contentOfFile(fs, DISK);
    const chain = await openChain(DISK, 'update', { fs });
    for (const work of [
      () => chain.write(0 as never, marked('w', 0, 8)),
      () => chain.write(7 as never, marked('w', 7, 2)),
      () => chain.leaf.zeroGrains(sectorRange(0, 8), true),
    ]) {
      expect(await failureOf(work())).toMatchObject({
        kind: 'refused',
        code: 'extent-read-only',
        context: { path: DISK, line: 7, found: 'RDONLY SPARSE' },
      });
    }
    await chain.flush();
    await chain.close();
    expectSame(await contentOfFile(fs, DISK), before);
    expectSame(await contentOfFile(fs, '/vm/s.vmdk'), sparse);
    expectAllClosed(recording);
  });

  it('leaves the extents beside it writable', async () => {
    const fs = storeOf(filesOf(extents));
    const chain = await openChain(DISK, 'update', { fs });
    await chain.write(8 as never, marked('w', 8, 2));
    await chain.close();
    expectSame(
      await readAll(DISK, { fs }),
      Buffer.concat([marked('f', 0, 8), marked('w', 8, 2), marked('f', 10, 6)]),
    );
  });

  it('is opened for reading only', async () => {
    const recording = recordStore(
      storeOf(
        filesOf(['RDONLY 8 FLAT "a.vmdk" 0', 'RW 8 FLAT "disk-flat.vmdk" 8'], {
          '/vm/a.vmdk': marked('a', 0, 8),
        }),
      ),
    );
    const chain = await openChain(DISK, 'update', { fs: recording.store });
    await chain.close();
    expect(recording.changed).not.toContain('/vm/a.vmdk');
    expectSame(await contentOf(await openDisk(DISK, { fs: recording.store }), 1), marked('a', 0, 1));
  });
});

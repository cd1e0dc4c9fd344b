// The structures of every kind of file as `dump` gives them: fields where they stand, tables that lead to the grains that
// the map names, markers to the end; and files that are damaged.
import { beforeEach, describe, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { walkRuns, wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Bytes } from '../../src/core/units.ts';
import { dumpableParts, dumpPart, type Dumped, type DumpPart } from '../../src/examine/dump.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const MIB = 1 << 20;

let fs: FileStore;

beforeEach(async () => {
  fs = createMemoryFileStore();
  await fs.makeFolder('/d');
});

const dump = async (path: string, part: DumpPart, table?: number): Promise<Dumped[]> => {
  const file = await fs.open(path, 'read');
  try {
    const { kind } = await dumpableParts(file);
    const pieces: Dumped[] = [];
    for await (const piece of dumpPart(file, kind, part, { table })) pieces.push(piece);
    return pieces;
  } finally {
    await file.close();
  }
};

const write = async (path: string): Promise<number[]> => {
  const chain = await openChain(path, 'update', { fs });
  for (const at of [0, 3 * MIB, 17 * MIB]) await writeBytes(chain, at as Bytes, Buffer.alloc(70_000, 7));
  await chain.close();
  const reading = await openChain(path, 'read', { fs });
  const offsets: number[] = [];
  for await (const runs of walkRuns(reading.leaf, wholeOf(reading.leaf))) {
    for (const run of runs) if (run.offset !== undefined) offsets.push(run.offset);
  }
  await reading.close();
  return offsets;
};

const grainsOf = (pieces: readonly Dumped[]): number[] =>
  pieces.flatMap((piece) => {
    if (piece.kind !== 'entry') return [];
    const place = /at byte (\d+)$/.exec(piece.meaning);
    return place === null ? [] : [Number(place[1])];
  });

/** Fields by name. */
const fieldsOf = (piece: Dumped | undefined): Record<string, unknown> =>
  piece?.kind === 'struct' ? Object.fromEntries(piece.fields.map(({ name, value }) => [name, value])) : {};

describe('a hosted sparse extent', () => {
  it('has its header, descriptor, both directories and the tables that name the grains', async () => {
    await createDisk('/d/a.vmdk', bytes(40 * MIB), { fs });
    const offsets = await write('/d/a.vmdk');
    const [header] = await dump('/d/a.vmdk', 'header');
    const raw = Buffer.alloc(512);
    const file = await fs.open('/d/a.vmdk', 'read');
    await file.readExactly(raw, 0);
    await file.close();
    expect(fieldsOf(header)).toEqual(SparseExtentHeader.decode(raw));
    const capacity = header?.kind === 'struct' && header.fields.find(({ name }) => name === 'capacity');
    expect(capacity).toEqual({ offset: 12, name: 'capacity', value: 81_920n });
    const [text] = await dump('/d/a.vmdk', 'descriptor');
    expect(text?.kind === 'text' && Buffer.from(text.bytes).toString()).toMatch(/^# Disk DescriptorFile/);
    const grains = new Set(grainsOf(await dump('/d/a.vmdk', 'gt')));
    for (const offset of offsets) expect(grains).toContain(offset);
    const one = await dump('/d/a.vmdk', 'gt', 0);
    expect(one.filter(({ kind }) => kind === 'table')).toMatchObject([{ table: 0, entries: 512 }]);
    const [gd, rgd] = [await dump('/d/a.vmdk', 'gd'), await dump('/d/a.vmdk', 'rgd')];
    expect([gd.length, rgd.length]).toEqual([3, 3]);
    expect(gd[0]).toMatchObject({ kind: 'table', part: 'gd', entries: 2 });
    expect(await dump('/d/a.vmdk', 'markers')).toMatchObject([{ kind: 'note' }]);
    expect(await dump('/d/a.vmdk', 'footer')).toMatchObject([{ kind: 'note' }]);
  });
});

describe('other kinds', () => {
  it('COWD and seSparse have tables that name the grains', async () => {
    await createDisk('/d/a.vmdk', bytes(40 * MIB), { fs });
    await createDelta('/d/cowd.vmdk', '/d/a.vmdk', { fs, type: 'vmfsSparse' });
    const offsets = await write('/d/cowd.vmdk');
    const [header] = await dump('/d/cowd-delta.vmdk', 'header');
    expect(fieldsOf(header)).toMatchObject({ numSectors: 81_920, grainSize: 1 });
    const grains = new Set(grainsOf(await dump('/d/cowd-delta.vmdk', 'gt')));
    expect(offsets.length).toBeGreaterThan(0);
    for (const offset of offsets) expect(grains).toContain(offset);

    await convertDisk('/d/a.vmdk', '/d/se.vmdk', { fs, type: 'seSparse' });
    const headers = await dump('/d/se-sesparse.vmdk', 'header');
    expect(headers).toMatchObject([
      { name: 'SESparseConstHeader' },
      { name: 'SESparseVolatileHeader', offset: 512 },
    ]);
  });

  it('a stream has markers up to the end, and a footer', async () => {
    await createDisk('/d/a.vmdk', bytes(40 * MIB), { fs });
    await write('/d/a.vmdk');
    await convertDisk('/d/a.vmdk', '/d/s.vmdk', { fs, type: 'streamOptimized' });
    const markers = (await dump('/d/s.vmdk', 'markers')).flatMap((piece) =>
      piece.kind === 'marker' ? piece.type : [],
    );
    expect(markers.filter((type) => type === 'grain').length).toBeGreaterThanOrEqual(3);
    expect(markers.slice(-3)).toEqual(['grainDirectory', 'footer', 'endOfStream']);
    const [marker, footer] = await dump('/d/s.vmdk', 'footer');
    expect(fieldsOf(marker)).toMatchObject({ val: 1n, type: 3 });
    expect(fieldsOf(footer)['gdOffset']).not.toBe(0xffff_ffff_ffff_ffffn);
    expect((await dump('/d/s.vmdk', 'gd'))[0]).toMatchObject({ kind: 'table', entries: 2 });
  });
});

it('what leads nowhere is said, and the rest is shown', async () => {
  await createDisk('/d/a.vmdk', bytes(40 * MIB), { fs });
  const file = await fs.open('/d/a.vmdk', 'update');
  await file.write(Buffer.alloc(8, 0xee), SparseExtentHeader.offsetOf('gdOffset'));
  await file.write(Buffer.alloc(8, 0xee), SparseExtentHeader.offsetOf('descriptorOffset'));
  await file.close();
  expect(await dump('/d/a.vmdk', 'gd')).toMatchObject([{ kind: 'table' }, { kind: 'note' }]);
  expect(await dump('/d/a.vmdk', 'gt')).toMatchObject([{ kind: 'note' }]);
  expect(await dump('/d/a.vmdk', 'descriptor')).toMatchObject([{ kind: 'note' }]);
  expect(await dump('/d/a.vmdk', 'header')).toMatchObject([{ kind: 'struct' }]);
  const again = await fs.open('/d/a.vmdk', 'update');
  await again.write(Buffer.alloc(8, 0xff), SparseExtentHeader.offsetOf('capacity'));
  await again.close();
  expect(await dump('/d/a.vmdk', 'gd')).toMatchObject([{ kind: 'note' }]);
});

// Two disks of one tree, or of none, are compared as their Buffers are; and what both take from one place is not read.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Bytes } from '../../src/core/units.ts';
import { compareChains, type CompareOptions } from '../../src/operations/compare-chains.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { differences, joined, type Difference } from '../../src/operations/differences.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { recordStore } from '../support/recording-store.ts';

const GRAIN = 64 << 10;
const SIZE = 8 * GRAIN;

interface Change {
  readonly at: number;
  readonly count: number;
  /** 0 zeroes. */
  readonly seed: number;
}

async function change(store: FileStore, path: string, content: Buffer, { at, count, seed }: Change) {
  const capacity = content.length / SECTOR_BYTES;
  const start = at % capacity;
  const sectors = Math.min(count, capacity - start);
  const chain = await openChain(path, 'update', { fs: store });
  if (seed === 0) {
    await chain.zero(sectorRange(start, sectors));
    content.fill(0, start * SECTOR_BYTES, (start + sectors) * SECTOR_BYTES);
  } else {
    const data = pattern(sectors * SECTOR_BYTES, seed);
    await chain.write(start as never, data);
    data.copy(content, start * SECTOR_BYTES);
  }
  await chain.close();
}

async function compared(store: FileStore, a: string, b: string, options: CompareOptions = {}) {
  const [left, right] = [
    await openChain(a, 'read', { fs: store }),
    await openChain(b, 'read', { fs: store }),
  ];
  try {
    const ranges: Difference[] = [];
    for await (const range of joined(differences(left, right, { fs: store }))) ranges.push(range);
    return { ...(await compareChains(left, right, { ...options, fs: store })), ranges };
  } finally {
    await left.close();
    await right.close();
  }
}

/** What a comparison of two buffers must say. */
function modelled(a: Buffer, b: Buffer) {
  const length = Math.max(a.length, b.length);
  const [left, right] = [a, b].map((each) => Buffer.concat([each, Buffer.alloc(length - each.length)]));
  let first: number | undefined;
  let differing = 0;
  const sectors = new Set<number>();
  for (let sector = 0; sector < length; sector += SECTOR_BYTES) {
    if (left!.compare(right!, sector, sector + SECTOR_BYTES, sector, sector + SECTOR_BYTES) === 0) continue;
    sectors.add(sector);
    for (let at = sector; at < sector + SECTOR_BYTES; at++) {
      if (left![at] === right![at]) continue;
      first ??= at;
      differing++;
    }
  }
  return { firstDifference: first, differingBytes: differing, differingSectors: sectors.size };
}

const SIBLINGS = [
  { title: 'of one parent', b: '/mid.vmdk' },
  { title: 'of a parent and its grandparent', b: '/base.vmdk' },
];
const changes = fc.array(
  fc.record({ at: fc.nat(1100), count: fc.integer({ min: 1, max: 200 }), seed: fc.nat(20) }),
  { maxLength: 4 },
);

describe('comparing chains', () => {
  for (const { title, b: parentOfB } of SIBLINGS) {
    it(`says what their buffers say: siblings ${title}`, async () => {
      await fc.assert(
        fc.asyncProperty(changes, changes, changes, changes, async (inBase, inMid, inA, inB) => {
          const store = createMemoryFileStore();
          const models = new Map<string, Buffer>();
          const make = async (path: string, parent: string | undefined, work: Change[], type?: string) => {
            if (parent === undefined) await createDisk(path, bytes(SIZE), { fs: store });
            else await createDelta(path, parent, { fs: store, type });
            const content = Buffer.from(parent === undefined ? Buffer.alloc(SIZE) : models.get(parent)!);
            for (const each of work) await change(store, path, content, each);
            models.set(path, content);
          };
          await make('/base.vmdk', undefined, inBase);
          await make('/mid.vmdk', '/base.vmdk', inMid);
          await make('/a.vmdk', '/mid.vmdk', inA);
          await make('/b.vmdk', parentOfB, inB, 'vmfsSparse');
          for (const [a, b] of [
            ['/a.vmdk', '/b.vmdk'],
            ['/b.vmdk', '/mid.vmdk'],
            ['/base.vmdk', '/a.vmdk'],
          ]) {
            const [left, right] = [models.get(a!)!, models.get(b!)!];
            const found = await compared(store, a!, b!);
            expect(found).toMatchObject(modelled(left, right));
            expect(found.equal).toBe(left.equals(right));
            // What the ranges say, put over A, is B.
            const mended = Buffer.from(left);
            let sum = 0;
            for (const { start, count, zero, bytes: differing } of found.ranges) {
              const [from, to] = [start * SECTOR_BYTES, (start + count) * SECTOR_BYTES];
              if (zero) mended.fill(0, from, to);
              else right.copy(mended, from, from, to);
              sum += differing;
            }
            expect(mended.equals(right)).toBe(true);
            expect(sum).toBe(found.differingBytes);
          }
        }),
        { numRuns: 8, seed: 4101 },
      );
    });
  }

  it('takes nothing for a difference that both have from one place, and reads nothing of it', async () => {
    const inner = createMemoryFileStore();
    await createDisk('/base.vmdk', bytes(64 << 20), { fs: inner });
    await change(inner, '/base.vmdk', Buffer.alloc(64 << 20), { at: 0, count: 100_000, seed: 3 });
    for (const name of ['/a.vmdk', '/b.vmdk']) await createDelta(name, '/base.vmdk', { fs: inner });
    await change(inner, '/b.vmdk', Buffer.alloc(64 << 20), { at: 40, count: 1, seed: 5 });
    const recording = recordStore(inner);
    const found = await compared(recording.store, '/a.vmdk', '/b.vmdk');
    expect(found).toMatchObject({ equal: false, compared: GRAIN, differingSectors: 1 });
    expect(recording.bytesRead).toBeLessThan(16 * GRAIN);
    const same = recordStore(inner);
    expect(await compared(same.store, '/a.vmdk', '/base.vmdk')).toMatchObject({ equal: true, compared: 0 });
    expect(await compared(same.store, '/a.vmdk', '/a.vmdk')).toMatchObject({ equal: true, compared: 0 });
  });

  it('reads nothing where both are zero, however each says so', async () => {
    const store = createMemoryFileStore();
    await createDisk('/flat.vmdk', bytes(SIZE), { fs: store, type: 'monolithicFlat' });
    await createDisk('/base.vmdk', bytes(SIZE), { fs: store });
    await change(store, '/base.vmdk', Buffer.alloc(SIZE), { at: 0, count: 128, seed: 3 });
    await createDelta('/delta.vmdk', '/base.vmdk', { fs: store });
    await change(store, '/delta.vmdk', Buffer.alloc(SIZE), { at: 0, count: 128, seed: 0 });
    expect(await compared(store, '/flat.vmdk', '/delta.vmdk')).toMatchObject({ equal: true, compared: 0 });
  });

  it('takes the end of the smaller disk for zeros, unless it is to be strict', async () => {
    const store = createMemoryFileStore();
    await createDisk('/small.vmdk', bytes(SIZE), { fs: store });
    await createDisk('/large.vmdk', bytes(2 * SIZE), { fs: store });
    const sizes = [SIZE, 2 * SIZE];
    expect(await compared(store, '/small.vmdk', '/large.vmdk')).toMatchObject({ equal: true, sizes });
    expect(await compared(store, '/small.vmdk', '/large.vmdk', { strict: true })).toMatchObject({
      equal: false,
      firstDifference: undefined,
    });
    const chain = await openChain('/large.vmdk', 'update', { fs: store });
    await writeBytes(chain, (SIZE + 7) as Bytes, Buffer.from('x'));
    await chain.close();
    for (const [a, b] of [
      ['/small.vmdk', '/large.vmdk'],
      ['/large.vmdk', '/small.vmdk'],
    ] as const) {
      expect(await compared(store, a, b)).toMatchObject({
        equal: false,
        firstDifference: SIZE + 7,
        differingBytes: 1,
        differingSectors: 1,
      });
    }
  });

  it('knows one file under two names', async () => {
    const inner = createMemoryFileStore();
    await createDisk('/a.vmdk', bytes(SIZE), { fs: inner, type: 'monolithicFlat' });
    await change(inner, '/a.vmdk', Buffer.alloc(SIZE), { at: 0, count: 8, seed: 3 });
    const file = await inner.open('/a.vmdk', 'read');
    const text = Buffer.alloc(await file.size());
    await file.readExactly(text, 0);
    await inner.replace('/b.vmdk', text);
    expect(await compared(inner, '/a.vmdk', '/b.vmdk')).toMatchObject({ equal: true, compared: 0 });
  });

  it('stops at the first difference when asked, and when told to', async () => {
    const store = createMemoryFileStore();
    for (const name of ['/a.vmdk', '/b.vmdk']) {
      await createDisk(name, bytes(SIZE), { fs: store });
      await change(store, name, Buffer.alloc(SIZE), { at: 0, count: 1000, seed: name === '/a.vmdk' ? 3 : 4 });
    }
    expect(await compared(store, '/a.vmdk', '/b.vmdk', { first: true })).toMatchObject({ complete: false });
    const stopped = AbortSignal.abort(new Error('enough'));
    await expect(compared(store, '/a.vmdk', '/b.vmdk', { signal: stopped })).rejects.toThrow('enough');
  });

  it('fails where data cannot be read, and takes it for no difference', async () => {
    const store = createMemoryFileStore();
    for (const name of ['/a.vmdk', '/b.vmdk']) {
      await createDisk(name, bytes(SIZE), { fs: store });
      await change(store, name, Buffer.alloc(SIZE), { at: 0, count: 1000, seed: 3 });
    }
    const [a, b] = [
      await openChain('/a.vmdk', 'read', { fs: store }),
      await openChain('/b.vmdk', 'read', { fs: store }),
    ];
    const file = await store.open('/b.vmdk', 'update');
    await file.resize((await file.size()) - GRAIN);
    await file.close();
    await expect(compareChains(a, b, { fs: store })).rejects.toMatchObject({
      name: 'VmdkError',
      kind: 'corrupt',
    });
  });
});

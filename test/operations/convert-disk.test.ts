// From every type to every type, and back: the content stays, the files are sound, holes stay holes.
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Sectors } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { convertDisk, type ConvertOptions } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { measureDisk } from '../../src/operations/measure-disk.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const MIB = 1 << 20;
const ZEROS = Buffer.alloc(65_536);
/** No multiple of any grain but those of one sector. */
const SECTORS = 5 * 2048 + 131;
const TYPES = [
  'raw',
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'vmfs',
  'streamOptimized',
  'seSparse',
] as const;

const content = contentOf(SECTORS, 1);
let store: FileStore;

beforeEach(async () => {
  store = createMemoryFileStore();
  await store.makeFolder('/d');
  await put('/d/source.raw', content);
});

/** Data, zeros within data, runs of single sectors, and the odd end. */
function contentOf(count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count * 512);
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % below;
  };
  for (let at = 0; at < count;) {
    const length = 1 + next(300);
    if (next(3) > 0)
      for (let byte = at * 512; byte < Math.min(at + length, count) * 512; byte++) bytes[byte] = next(256);
    at += length;
  }
  bytes.fill(0, 2 * MIB, 4 * MIB);
  bytes[bytes.length - 1] = 7;
  return bytes;
}

async function put(path: string, data: Buffer): Promise<void> {
  const file = await store.create(path);
  await file.resize(data.length);
  for (let at = 0; at < data.length; at += 65_536) {
    const part = data.subarray(at, at + 65_536);
    if (!part.equals(ZEROS.subarray(0, part.length))) await file.write(part, at);
  }
  await file.close();
}

const sha = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const contentAt = async (path: string, type: string): Promise<string> => sha(await bytesAt(path, type));

async function bytesAt(path: string, type: string): Promise<Buffer> {
  if (type === 'raw') {
    const file = await store.open(path, 'read');
    const data = Buffer.alloc(await file.size());
    await file.readExactly(data, 0);
    await file.close();
    return data;
  }
  const chain = await openChain(path, 'read', { fs: store });
  const data = Buffer.alloc(chain.capacity * 512, 0xee);
  await chain.read(wholeOf(chain), data);
  await chain.close();
  return data;
}

async function expectSound(path: string): Promise<void> {
  const report = await checkDisk(path, { fs: store, chain: true, deep: true });
  const { verdict, leaks, problems } = report;
  const found = problems.filter(({ severity }) => severity !== 'info');
  expect({ path, verdict, leaks, found }).toEqual({ path, verdict: 'sound', leaks: 0, found: [] });
}

const split = (type: string): ConvertOptions => (type.startsWith('twoGb') ? { splitSectors: 4096 } : {});

describe('converting', () => {
  it.each(TYPES)(
    'makes %s of a raw file, and every other type of that, without losing a byte',
    async (type) => {
      const first = `/d/first.${type === 'raw' ? 'raw' : 'vmdk'}`;
      await convertDisk('/d/source.raw', first, { fs: store, from: 'raw', type, ...split(type) });
      expect(await contentAt(first, type)).toBe(sha(content));
      if (type !== 'raw') await expectSound(first);
      for (const second of TYPES) {
        const target = `/d/${second}.out`;
        const options = {
          fs: store,
          type: second,
          from: type === 'raw' ? 'raw' : 'vmdk',
          ...split(second),
        } as const;
        await convertDisk(first, target, options);
        const same = (await bytesAt(target, second)).equals(content);
        expect({ second, same }).toEqual({ second, same: true });
      }
    },
  );
});

const DELTA_TYPES = ['monolithicSparse', 'twoGbMaxExtentSparse', 'vmfsSparse', 'seSparse'] as const;

describe('converting above a parent', () => {
  /** A base, a delta above it with a grain of data over zeros and zeros over data, and what they read as. */
  async function chainOfTwo(): Promise<Buffer> {
    await convertDisk('/d/source.raw', '/d/base.vmdk', { fs: store, from: 'raw', type: 'monolithicSparse' });
    await createDelta('/d/leaf.vmdk', '/d/base.vmdk', { fs: store });
    const chain = await openChain('/d/leaf.vmdk', 'update', { fs: store });
    const merged = Buffer.from(content);
    await chain.write((3 * 2048) as Sectors, Buffer.alloc(512, 0x33));
    merged.fill(0x33, 3 * MIB, 3 * MIB + 512);
    await chain.zero({ start: 0 as Sectors, count: 256 as Sectors });
    merged.fill(0, 0, 256 * 512);
    await chain.close();
    return merged;
  }

  it.each(DELTA_TYPES)('keeps what the parent has and stores the rest as %s', async (type) => {
    const merged = await chainOfTwo();
    const before = await contentAt('/d/base.vmdk', 'raw');
    const options = { fs: store, type, backing: '/d/base.vmdk', ...split(type) };
    const { plan, written } = await convertDisk('/d/leaf.vmdk', '/d/new.vmdk', options);
    expect(plan).toMatchObject({ parentFileNameHint: 'base.vmdk', createType: type });
    expect(plan.cid).not.toBe(plan.parentCid);
    expect(written).toBeLessThanOrEqual(65_536);
    expect(await contentAt('/d/new.vmdk', type)).toBe(sha(merged));
    await expectSound('/d/new.vmdk');
    expect(await contentAt('/d/base.vmdk', 'raw')).toBe(before);
  });

  it.each(DELTA_TYPES)(
    'makes every type of what a %s delta reads as, and of the link below it',
    async (type) => {
      const merged = await chainOfTwo();
      const options = { fs: store, type, backing: '/d/base.vmdk', ...split(type) };
      await convertDisk('/d/leaf.vmdk', '/d/delta.vmdk', options);
      for (const second of TYPES) {
        await convertDisk('/d/delta.vmdk', '/d/out.vmdk', { fs: store, type: second, overwrite: true });
        const same = (await bytesAt('/d/out.vmdk', second)).equals(merged);
        expect({ second, same }).toEqual({ second, same: true });
      }
      await convertDisk('/d/base.vmdk', '/d/below.raw', { fs: store });
      expect(await contentAt('/d/below.raw', 'raw')).toBe(sha(content));
    },
  );

  it.each(DELTA_TYPES)('tells the bytes of a %s delta before it is made', async (type) => {
    await chainOfTwo();
    const options = { fs: store, type, backing: '/d/base.vmdk', ...split(type) };
    const { required, fullyAllocated } = await measureDisk('/d/leaf.vmdk', {
      ...options,
      name: 'delta.vmdk',
    });
    const { files } = await convertDisk('/d/leaf.vmdk', '/d/delta.vmdk', options);
    const sizes = await Promise.all(files.map(async ({ path }) => (await store.resolve(path)).size));
    expect(required).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(fullyAllocated).toBeGreaterThan(content.length);
  });

  it('reads nothing where the files are the same, and compares where they are not', async () => {
    await chainOfTwo();
    await convertDisk('/d/base.vmdk', '/d/copy.vmdk', { fs: store, type: 'vmfs', thin: true });
    const { written } = await convertDisk('/d/copy.vmdk', '/d/same.vmdk', {
      fs: store,
      backing: '/d/base.vmdk',
    });
    expect(written).toBe(0);
    const totals: number[] = [];
    const onProgress = ({ total }: { total: number }): void => void totals.push(total);
    await convertDisk('/d/leaf.vmdk', '/d/new.vmdk', { fs: store, backing: '/d/base.vmdk', onProgress });
    expect(Math.max(...totals)).toBeLessThanOrEqual(3 * 65_536);
  });

  it('refuses a parent of another size, and a raw file above one', async () => {
    await chainOfTwo();
    await put('/d/small.raw', content.subarray(0, MIB));
    const from = { fs: store, from: 'raw', backing: '/d/base.vmdk' } as const;
    await expect(convertDisk('/d/small.raw', '/d/x.vmdk', from)).rejects.toMatchObject({
      code: 'backing-capacity',
    });
    const raw = convertDisk('/d/source.raw', '/d/x.raw', { ...from, type: 'raw' });
    await expect(raw).rejects.toMatchObject({ kind: 'usage' });
    const hinted = convertDisk('/d/base.vmdk', '/d/x.vmdk', { fs: store, type: 'vmfs', hint: 'absolute' });
    await expect(hinted).rejects.toMatchObject({ kind: 'usage' });
  });
});

describe('a conversion that does not end well', () => {
  const names = async (): Promise<string[]> => (await store.list('/d')).sort();

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse', 'vmfs', 'streamOptimized'])(
    'leaves nothing of a %s disk, whether it fails, is stopped or is killed',
    async (type) => {
      const options = { fs: store, from: 'raw', type, ...split(type) } as const;
      const controller = new AbortController();
      const reason = new Error('stopped');
      const stopped = convertDisk('/d/source.raw', '/d/x.vmdk', {
        ...options,
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      });
      await expect(stopped).rejects.toBe(reason);
      expect(await names()).toEqual(['source.raw']);
      const full = new Error('no space');
      const failing: FileStore = {
        ...store,
        create: async (path) => ({ ...(await store.create(path)), write: () => Promise.reject(full) }),
      };
      await expect(convertDisk('/d/source.raw', '/d/x.vmdk', { ...options, fs: failing })).rejects.toBe(full);
      expect(await names()).toEqual(['source.raw']);
      // What a process that no longer lives left behind is cleared by the next.
      const { self } = localRuns();
      const left = `/d/.convert-${self.host}-4194999-1-0123456789abcdef.part`;
      await store.makeFolder(left);
      await (await store.create(`${left}/x.vmdk`)).close();
      await convertDisk('/d/source.raw', '/d/x.vmdk', options);
      expect((await names()).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  );

  it('replaces all files of a disk when told to, and none of what it reads', async () => {
    const options = { fs: store, type: 'vmfs', overwrite: true } as const;
    await convertDisk('/d/source.raw', '/d/x.vmdk', { ...options, from: 'raw' });
    await expect(convertDisk('/d/x.vmdk', '/d/x.vmdk', options)).rejects.toMatchObject({
      code: 'target-is-source',
    });
    await put('/d/zero.raw', Buffer.alloc(MIB));
    await convertDisk('/d/zero.raw', '/d/x.vmdk', { ...options, from: 'raw' });
    expect(await contentAt('/d/x.vmdk', 'vmfs')).toBe(sha(Buffer.alloc(MIB)));
    expect(await names()).toEqual(['source.raw', 'x-flat.vmdk', 'x.vmdk', 'zero.raw']);
  });

  it('names the place where a raw file ends early', async () => {
    const short: FileStore = {
      ...store,
      open: (async (path: string, mode: 'read') => {
        const file = await store.open(path, mode);
        return { ...file, readExactly: () => file.readExactly(Buffer.alloc(9), SECTORS * 512) };
      }) as unknown as FileStore['open'],
    };
    const options = { fs: short, from: 'raw', type: 'vmfs' } as const;
    await expect(convertDisk('/d/source.raw', '/d/x.vmdk', options)).rejects.toMatchObject({
      code: 'file-too-short',
      context: { path: '/d/source.raw', offset: SECTORS * 512 },
    });
    expect(await names()).toEqual(['source.raw']);
  });
});

describe('measuring', () => {
  it.each(TYPES)('tells the bytes of a %s disk before it is made, now and when it is full', async (type) => {
    const options = { fs: store, from: 'raw', type, ...split(type) } as const;
    const name = type === 'raw' ? 'x.raw' : 'x.vmdk';
    const noise = Buffer.alloc(content.length);
    for (let at = 0, state = 1; at < noise.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      noise[at] = state >>> 24;
    }
    await put('/d/noise.raw', noise);
    for (const source of ['/d/source.raw', '/d/noise.raw']) {
      const { required, fullyAllocated, written } = await measureDisk(source, { ...options, name });
      const made = await convertDisk(source, `/d/${name}`, { ...options, overwrite: true });
      const sizes = await Promise.all(made.files.map(async ({ path }) => (await store.resolve(path)).size));
      expect(required).toBe(sizes.reduce((sum, size) => sum + size, 0));
      expect(written).toBe(made.written);
      // A stream of noise may need a little less than the worst that zlib promises.
      const slack = type === 'streamOptimized' ? 512 * 200 : 0;
      expect(fullyAllocated).toBeGreaterThanOrEqual(required);
      if (source === '/d/noise.raw') expect(fullyAllocated - required).toBeLessThanOrEqual(slack);
    }
  });
});

// A chain whose base lies on a web server or in an object store while its deltas are here: it reads as the same chain of
// local files, it leads nowhere that was not allowed, and nothing of it can be written but the leaf.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Bytes } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { cloneDisks } from '../../src/operations/clone-disks.ts';
import { planClones } from '../../src/operations/clone-plan.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { copyOut } from '../../src/operations/copy-out.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { describeChain, describeDisk } from '../../src/operations/describe-chain.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createRemoteFileStore } from '../../src/storage/remote-file-store.ts';
import { ObjectServer } from '../support/object-server.ts';
import { CHAIN_BYTES, makeSmallChain } from '../support/small-chain.ts';
import { put } from '../storage/store-suite.ts';

const server = new ObjectServer();
let origin: string;
/** Where everything is local. */
let local: FileStore;
let contents: Buffer;

beforeAll(async () => {
  origin = await server.listen();
  local = createMemoryFileStore({ '/ds/golden/x': Buffer.alloc(0) });
  ({ contents } = await makeSmallChain('/ds/golden', local));
  for (const type of ['monolithicFlat', 'twoGbMaxExtentSparse', 'vmfs']) {
    await local.makeFolder(`/ds/${type}`);
    const path = `/ds/${type}/a disk #1.vmdk`;
    await createDisk(path, bytes(CHAIN_BYTES), { fs: local, type });
    const chain = await openChain(path, 'update', { fs: local });
    await writeBytes(chain, 70_000 as Bytes, Buffer.alloc(300_000, type));
    await chain.close();
  }
});
afterAll(() => server.close());
beforeEach(() => {
  server.asked.length = 0;
  server.objects.clear();
  server.fault = undefined;
});

describe('a chain with a base elsewhere', () => {
  it.each(['monolithicFlat', 'twoGbMaxExtentSparse', 'vmfs'])(
    'of type %s reads as the one here',
    async (type) => {
      await upload(`/ds/${type}`, '/store');
      const fs = remote(createMemoryFileStore({ '/host/x': Buffer.alloc(0) }));
      const base = `${origin}/store/${type}/a%20disk%20%231.vmdk`;
      expect(await hashOf(base, { fs })).toBe(await hashOf(`/ds/${type}/a disk #1.vmdk`, { fs: local }));
      await createDelta('/host/leaf.vmdk', base, { fs });
      const leaf = await openChain('/host/leaf.vmdk', 'update', { fs });
      await writeBytes(leaf, 100_000 as Bytes, Buffer.from('local'));
      await leaf.close();
      const text = await readText(fs, '/host/leaf.vmdk');
      expect(text).toContain(`parentFileNameHint="${base}"`);
      const chain = await openChain('/host/leaf.vmdk', 'read', { fs });
      expect(chain.links.map(({ path }) => path)).toEqual(['/host/leaf.vmdk', base]);
      const merged = Buffer.alloc(300_000);
      await chain.read(sectorRange(0, 512), merged.subarray(0, 512 * 512));
      expect(merged.subarray(100_000, 100_005).toString()).toBe('local');
      expect(merged.subarray(100_005, 100_005 + type.length).toString()).toHaveLength(type.length);
      await chain.close();
    },
  );

  it('in three links, the lower two elsewhere and naming one another relatively', async () => {
    await upload('/ds/golden', '/store');
    const fs = remote(createMemoryFileStore({ '/host/x': Buffer.alloc(0) }));
    for (const name of ['base', 'mid', 'leaf']) {
      const [here, there] = [`/ds/golden/${name}.vmdk`, `${origin}/store/golden/${name}.vmdk`];
      expect(await hashOf(there, { fs }), name).toBe(await hashOf(here, { fs: local }));
    }
    expect(await hashOf(`${origin}/store/golden/leaf.vmdk`, { fs })).toBe(hex(contents));
    const { report, failure } = await describeChain(`${origin}/store/golden/leaf.vmdk`, { fs });
    expect(failure).toBeUndefined();
    expect(report.links.map((link) => [link.filename, link['found-by']])).toEqual([
      [`${origin}/store/golden/leaf.vmdk`, 'named'],
      [`${origin}/store/golden/mid.vmdk`, 'hint'],
      [`${origin}/store/golden/base.vmdk`, 'hint'],
    ]);
    const info = await describeDisk(`${origin}/store/golden/mid.vmdk`, { fs });
    expect(info).toMatchObject({
      readable: true,
      'full-backing-filename': `${origin}/store/golden/base.vmdk`,
      'actual-size': (await local.resolve('/ds/golden/mid.vmdk')).size,
    });
    const checked = await checkDisk(`${origin}/store/golden/leaf.vmdk`, { fs, chain: true });
    expect(checked).toMatchObject({ 'check-errors': 0, corruptions: 0, leaks: 0 });
  });

  it('is found by an ordinary path map, for a delta that knows nothing of URLs', async () => {
    await upload('/ds/golden', '/store');
    const here = createMemoryFileStore({ '/host/x': Buffer.alloc(0) });
    const fs = remote(here);
    const old = '/vmfs/volumes/ds1/golden/base.vmdk';
    await createDelta('/host/leaf.vmdk', `${origin}/store/golden/base.vmdk`, { fs, hint: old });
    await expect(openChain('/host/leaf.vmdk', 'read', { fs })).rejects.toMatchObject({
      code: 'parent-missing',
    });
    for (const pathMap of [
      [{ from: '/vmfs/volumes/ds1', to: `${origin}/store` }],
      [{ from: '/vmfs/volumes/*', to: `${origin}/store` }],
      [{ from: '/vmfs/volumes/ds1/golden/base.vmdk', to: `${origin}/store/golden/base.vmdk` }],
    ]) {
      const chain = await openChain('/host/leaf.vmdk', 'read', { fs, pathMap });
      expect(chain.links[1]!.path).toBe(`${origin}/store/golden/base.vmdk`);
      await chain.close();
    }
    const { report } = await describeChain('/host/leaf.vmdk', {
      fs,
      pathMap: [{ from: '/vmfs/volumes/ds1', to: `${origin}/store` }],
    });
    expect(report.links[0]).toMatchObject({ 'parent-fits': true });
    expect(report.links[1]).toMatchObject({ 'found-by': 'path-map' });
  });

  it('takes clones by the hundred, converts, and stands below a conversion', async () => {
    await upload('/ds/golden', '/store');
    const here = createMemoryFileStore({ '/host/x': Buffer.alloc(0) });
    const fs = remote(here);
    const base = `${origin}/store/golden/base.vmdk`;
    const request = { bases: [base], into: '/host/lab', count: 3, template: 'web-{n:02}' };
    const { warnings } = await planClones(request, { fs });
    expect(warnings).toEqual([
      {
        code: 'base-is-remote',
        message: `the parent lies in another place: open it with --allow-origin ${origin}/store/golden`,
        path: '/host/lab/web-01.vmdk',
      },
    ]);
    for await (const { status } of cloneDisks(request, { fs })) expect(status).toBe('created');
    expect((await here.list('/host/lab')).sort()).toEqual(['web-01.vmdk', 'web-02.vmdk', 'web-03.vmdk']);
    expect(await hashOf('/host/lab/web-02.vmdk', { fs })).toBe(
      await hashOf('/ds/golden/base.vmdk', { fs: local }),
    );
    await convertDisk(`${origin}/store/golden/leaf.vmdk`, '/host/copy.vmdk', {
      fs,
      type: 'monolithicSparse',
    });
    expect(await hashOf('/host/copy.vmdk', { fs: here })).toBe(hex(contents));
    await convertDisk('/host/copy.vmdk', '/host/over.vmdk', { fs, type: 'monolithicSparse', backing: base });
    expect(await hashOf('/host/over.vmdk', { fs })).toBe(hex(contents));
    const chain = await openChain('/host/over.vmdk', 'read', { fs });
    expect(chain.links).toHaveLength(2);
    await chain.close();
  });

  it('reads no wrong byte when the base is replaced in the middle', async () => {
    await upload('/ds/vmfs', '/store');
    const fs = remote(createMemoryFileStore({ '/host/x': Buffer.alloc(0) }));
    const base = `${origin}/store/vmfs/a%20disk%20%231.vmdk`;
    await createDelta('/host/leaf.vmdk', base, { fs });
    const chain = await openChain('/host/leaf.vmdk', 'read', { fs });
    const flat = '/store/vmfs/a disk #1-flat.vmdk';
    server.put(flat, Buffer.alloc(server.objects.get(flat)!.bytes.length, 0x66));
    const into = Buffer.alloc(1 << 20, 0xee);
    await expect(chain.read(sectorRange(8192, 2048), into)).rejects.toMatchObject({
      code: 'remote-changed',
      context: { path: `${origin}/store/vmfs/a%20disk%20%231-flat.vmdk` },
    });
    expect(into.includes(0x66)).toBe(false);
    await chain.close();
  });

  it('is never written: not by a write, not by opening it as a leaf', async () => {
    await upload('/ds/golden', '/store');
    const fs = remote(createMemoryFileStore({ '/host/x': Buffer.alloc(0) }));
    const base = `${origin}/store/golden/base.vmdk`;
    await expect(openChain(base, 'update', { fs })).rejects.toMatchObject({ code: 'remote-read-only' });
    await createDelta('/host/leaf.vmdk', base, { fs });
    const before = new Map([...server.objects].map(([path, { bytes: data }]) => [path, hex(data)]));
    const chain = await openChain('/host/leaf.vmdk', 'update', { fs });
    await writeBytes(chain, 1000 as Bytes, Buffer.alloc(100_000, 1));
    await chain.zero(sectorRange(4096, 256));
    await chain.close();
    expect(new Map([...server.objects].map(([path, { bytes: data }]) => [path, hex(data)]))).toEqual(before);
  });
});

describe('a disk that names URLs', () => {
  const LINE = (name: string): string => `RW 8 FLAT "${name}" 0`;
  const secret = Buffer.alloc(4096, 'secret');

  it('is told what it would take, and nobody is asked, unless the origin is allowed', async () => {
    server.put('/secret', secret);
    const fs = createMemoryFileStore({ '/host/x': Buffer.alloc(0) });
    await put(fs, '/host/a.vmdk', descriptor([LINE(`${origin}/secret`)]));
    await put(fs, '/host/b.vmdk', descriptor([LINE('x')], { parentCid: '1', hint: `${origin}/secret` }));
    for (const [store, code] of [
      [fs, 'not-a-file'],
      [remote(fs, ['http://127.0.0.1:1/other']), 'origin-not-allowed'],
    ] as const) {
      const error = await failure(openChain('/host/a.vmdk', 'read', { fs: store }));
      expect(error).toMatchObject({ code });
      expect(error.message).toContain('--allow-origin');
      await put(store, '/host/y', secret).catch(() => undefined);
      await failure(openChain('/host/b.vmdk', 'read', { fs: store }));
      expect(await failure(openChain(`${origin}/a.vmdk`, 'read', { fs: store }))).toMatchObject({
        kind: 'refused',
        code: 'origin-not-allowed',
      });
    }
    expect(server.asked).toEqual([]);
  });

  it('on a server that does not answer is said not to, where the parent was looked for', async () => {
    const here = createMemoryFileStore();
    const hint = `${origin}/away/base.vmdk`;
    await here.makeFolder('/vm');
    await put(here, '/vm/a.vmdk', Buffer.from(descriptor([LINE('flat')], { parentCid: '1', hint })));
    await put(here, '/vm/flat', secret);
    server.fault = ({ path }) => (path.startsWith('/away/') ? { kind: 'status', status: 503 } : undefined);
    const asked = server.asked.length;
    const fs = createRemoteFileStore({ allowOrigins: [origin], fs: here, attempts: 2, firstPause: 1 });
    const { failure: found } = await describeChain('/vm/a.vmdk', { fs });
    server.fault = undefined;
    expect(found?.context.candidates?.[0]).toEqual({
      path: hint,
      outcome: 'cannot be read over the network (HTTP status 503)',
    });
    // Twice is once, with both attempts: what was given up is not asked for again.
    expect(server.asked.length - asked).toBe(2);
  });

  it('elsewhere leads to nothing here and to no other origin', async () => {
    const here = createMemoryFileStore({ '/etc/secret': secret, '/host/secret': secret });
    const open = (more: ChainOptions = {}) =>
      failure(openChain(`${origin}/store/vm/a.vmdk`, 'read', { fs: remote(here), ...more }));
    const flat = descriptor([LINE('flat')]);
    server.put('/store/vm/flat', secret);
    for (const name of [
      '/etc/secret',
      '../../../etc/secret',
      '..\\..\\secret',
      'file:///etc/secret',
      'http://127.0.0.1:9/x',
      's3://b/x',
      'C:\\secret',
      '/',
    ]) {
      server.put('/store/vm/a.vmdk', Buffer.from(descriptor([LINE(name)])));
      const error = await open();
      expect(['refused', 'missing', 'unsupported'], name).toContain(error.kind);
      server.put('/store/vm/a.vmdk', Buffer.from(descriptor([LINE('flat')], { parentCid: '1', hint: name })));
      const child = await open();
      expect(child, name).toMatchObject({ kind: 'missing', code: 'parent-missing' });
    }
    server.put('/store/vm/a.vmdk', Buffer.from(flat));
    const chain = await openChain(`${origin}/store/vm/a.vmdk`, 'read', { fs: remote(here) });
    await chain.close();
    const mapped = { pathMap: [{ from: '/vmfs', to: '/host' }], allow: ['/host'] };
    server.put(
      '/store/vm/a.vmdk',
      Buffer.from(descriptor([LINE('flat')], { parentCid: '1', hint: '/vmfs/secret' })),
    );
    expect((await open(mapped)).message).toContain('outside the allowed folders');
  });

  it('may lead to its neighbours below the allowed prefix, not above it', async () => {
    server.put('/store/other/flat', secret);
    server.put('/elsewhere/flat', secret);
    const at = async (name: string, prefix: string): Promise<string> => {
      const fs = remote(createMemoryFileStore(), [`${origin}${prefix}`]);
      server.put('/store/vm/a.vmdk', Buffer.from(descriptor([LINE(name)])));
      const outcome = await openChain(`${origin}/store/vm/a.vmdk`, 'read', { fs }).then(
        async (chain) => {
          await chain.close();
          return 'open';
        },
        (error: { code: string }) => error.code,
      );
      return outcome;
    };
    expect(await at('../other/flat', '/store')).toBe('open');
    expect(await at('../other/flat', '/store/vm')).toBe('origin-not-allowed');
    expect(await at('../../elsewhere/flat', '/store')).toBe('origin-not-allowed');
    expect(await at('none', '/store')).toBe('extent-missing');
  });
});

function remote(fs: FileStore, allowOrigins: string[] = [origin]): FileStore {
  return createRemoteFileStore({ allowOrigins, fs, firstPause: 1 });
}

/** Every file of a local folder, below `prefix`. */
async function upload(folder: string, prefix: string): Promise<void> {
  for (const name of await local.list(folder)) {
    const file = await local.open(`${folder}/${name}`, 'read');
    const data = Buffer.alloc(await file.size());
    await file.readExactly(data, 0);
    await file.close();
    server.put(`${prefix}/${folder.split('/').at(-1)}/${name}`, data);
  }
}

async function hashOf(path: string, options: ChainOptions): Promise<string> {
  const chain = await openChain(path, 'read', options);
  const hash = createHash('sha256');
  try {
    await copyOut(chain, { start: 0, end: CHAIN_BYTES }, async (data) => void hash.update(data));
    return hash.digest('hex');
  } finally {
    await chain.close();
  }
}

function hex(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

async function readText(fs: FileStore, path: string): Promise<string> {
  const file = await fs.open(path, 'read');
  const data = Buffer.alloc(await file.size());
  await file.readExactly(data, 0);
  await file.close();
  return data.toString('latin1');
}

function descriptor(
  extents: readonly string[],
  { parentCid = 'ffffffff', hint }: { parentCid?: string; hint?: string } = {},
): string {
  return [
    '# Disk DescriptorFile',
    'version=1',
    'CID=1234abcd',
    `parentCID=${parentCid}`,
    'createType="monolithicFlat"',
    ...(hint === undefined ? [] : [`parentFileNameHint="${hint}"`]),
    ...extents,
    '',
  ].join('\n');
}

async function failure(work: Promise<unknown>): Promise<Error & { kind: string; code: string }> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'VmdkError' });
  return error as Error & { kind: string; code: string };
}

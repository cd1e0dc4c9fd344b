// What planning clones tells and refuses; it writes nothing.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError, type VmdkError } from '../../src/core/errors.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { planClones } from '../../src/operations/clone-plan.ts';
import type { CloneOptions, CloneRequest } from '../../src/operations/clone-types.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { BASE_BYTES, datastore, hashesBelow, makeBase } from '../support/clone-bench.ts';

const GOLDEN = '/ds/golden/golden.vmdk';

async function refusal(request: CloneRequest, options: CloneOptions): Promise<VmdkError> {
  try {
    await planClones(request, options);
  } catch (error) {
    if (isVmdkError(error)) return error;
    throw error;
  }
  return expect.fail('the plan was made');
}

async function put(fs: FileStore, path: string, content: string | Uint8Array = ''): Promise<void> {
  const file = await fs.create(path);
  await file.write(Buffer.from(content), 0);
  await file.close();
}

describe('a plan', () => {
  it('tells files, types, hints and space, as plain data', async () => {
    const fs = await datastore();
    const plan = await planClones({ bases: [GOLDEN], into: '/ds', count: 2 }, { fs });
    const { occupied, cid } = await factsOf(fs);
    expect(plan).toEqual({
      schema: 'vmdkit-clone-plan/v1',
      into: '/ds',
      layout: 'folders',
      hint: 'relative',
      'keep-going': false,
      bases: [
        {
          path: GOLDEN,
          cid,
          'create-type': 'monolithicSparse',
          'virtual-size': BASE_BYTES,
          'occupied-size': occupied,
          links: 1,
        },
      ],
      clones: [1, 2].map((n) => {
        const path = `/ds/golden-clone-0${n}/golden-clone-0${n}.vmdk`;
        return {
          name: `golden-clone-0${n}`,
          status: 'planned',
          disks: [
            {
              path,
              base: GOLDEN,
              type: 'monolithicSparse',
              hint: '../golden/golden.vmdk',
              cid,
              'parent-cid': cid,
              files: [path],
            },
          ],
          'bytes-needed': 12288,
        };
      }),
      totals: {
        clones: 2,
        files: 2,
        'bytes-needed': 24576,
        'thin-copies': 2 * occupied,
        'thick-copies': 2 * BASE_BYTES,
        'saved-against-thin': 2 * occupied - 24576,
        'saved-against-thick': 2 * BASE_BYTES - 24576,
      },
      warnings: [],
    });
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  it('gives clones folders where the base has one of its own, and plain files elsewhere', async () => {
    const fs = await datastore();
    await fs.makeFolder('/ds/lab');
    const first = async (into: string, layout?: 'files' | 'folders'): Promise<string | undefined> =>
      (await planClones({ bases: [GOLDEN], into, names: ['a'], layout }, { fs })).clones[0]?.disks[0]?.path;
    expect(await first('/ds')).toBe('/ds/a/a.vmdk');
    expect(await first('/')).toBe('/a/a.vmdk');
    expect(await first('/ds/golden')).toBe('/ds/golden/a.vmdk');
    expect(await first('/ds/lab')).toBe('/ds/lab/a.vmdk');
    expect(await first('/ds', 'files')).toBe('/ds/a.vmdk');
    expect(await first('/ds/lab', 'folders')).toBe('/ds/lab/a/a.vmdk');
    expect(await first('/ds/new/deep')).toBe('/ds/new/deep/a.vmdk');
  });

  it('puts a delta of each base into one folder, under names that differ from the bases', async () => {
    const fs = await datastore();
    await fs.makeFolder('/ds/other');
    await makeBase(fs, '/ds/golden/data.vmdk', 'vmfs');
    await makeBase(fs, '/ds/other/data.vmdk', 'twoGbMaxExtentFlat');
    const bases = [GOLDEN, '/ds/golden/data.vmdk', '/ds/other/data.vmdk'];
    const plan = await planClones({ bases, into: '/ds', names: ['web'] }, { fs });
    expect(plan.clones[0]!.disks.map(({ type, hint, files }) => ({ type, hint, files }))).toEqual([
      {
        type: 'monolithicSparse',
        hint: '../golden/golden.vmdk',
        files: ['/ds/web/web-golden.vmdk'],
      },
      {
        type: 'vmfsSparse',
        hint: '../golden/data.vmdk',
        files: ['/ds/web/web-data-delta.vmdk', '/ds/web/web-data.vmdk'],
      },
      {
        type: 'twoGbMaxExtentSparse',
        hint: '../other/data.vmdk',
        files: ['/ds/web/web-data-2-s001.vmdk', '/ds/web/web-data-2.vmdk'],
      },
    ]);
  });

  it('takes another type and an absolute hint when told', async () => {
    const fs = await datastore();
    const request = { bases: [GOLDEN], into: '/ds/lab', type: 'sesparse', hint: 'absolute' } as const;
    const plan = await planClones(request, { fs });
    expect(plan).toMatchObject({ hint: 'absolute', type: 'sesparse' });
    expect(plan.clones[0]!.disks[0]).toMatchObject({ type: 'seSparse', hint: GOLDEN });
    expect(plan.warnings).toEqual([{ code: 'delta-type', message: expect.stringContaining('not for ESXi') }]);
  });

  it('warns, with the way out, when a clone could not find its base by itself', async () => {
    const fs = await datastore();
    await fs.makeFolder('/lab');
    const warnings = async (into: string, layout?: 'files' | 'folders') =>
      (await planClones({ bases: [GOLDEN], into, layout }, { fs })).warnings;
    expect(await warnings('/ds/lab', 'files')).toEqual([]);
    expect(await warnings('/ds/golden')).toEqual([]);
    const [far] = await warnings('/lab');
    expect(far).toMatchObject({ code: 'base-out-of-reach', path: '/lab/golden-clone-01.vmdk' });
    expect(far!.message).toMatch(/--allow \/ds\/golden.*beside or around \/ds\/golden/);
    const [deep] = await warnings('/ds/lab', 'folders');
    expect(deep!.message).toMatch(/--allow \/ds\/golden.*--layout files/);
  });

  it('warns when the base itself opens only with what was allowed', async () => {
    const fs = await datastore();
    await fs.makeFolder('/far');
    await fs.makeFolder('/far/away');
    await createDelta('/far/away/child.vmdk', GOLDEN, { fs, allow: ['/ds'] });
    const request = { bases: ['/far/away/child.vmdk'], into: '/far/away', names: ['x'] };
    const plan = await planClones(request, { fs, allow: ['/ds'] });
    expect(plan.warnings).toMatchObject([{ code: 'base-needs-allow' }]);
    expect(plan.bases[0]!.links).toBe(2);
    expect((await refusal(request, { fs })).code).toBe('parent-missing');
  });

  it('writes nothing, not even what it would settle', async () => {
    const fs = await datastore();
    await fs.makeFolder('/ds/.vmdkit-clone-aaaaaaaa-1-1-00000000.new');
    const before = await hashesBelow(fs, '/');
    const names = await fs.list('/ds');
    const plan = await planClones({ bases: [GOLDEN], into: '/ds', count: 50 }, { fs, takeOver: true });
    expect(plan.warnings).toMatchObject([{ code: 'interrupted-run' }]);
    expect(await hashesBelow(fs, '/')).toEqual(before);
    expect(await fs.list('/ds')).toEqual(names);
  });
});

describe('a plan is refused', () => {
  it('for what is no disk, twice the same, or a machine', async () => {
    const fs = await datastore();
    const of = async (...bases: string[]) => refusal({ bases, into: '/ds' }, { fs });
    expect(await of()).toMatchObject({ kind: 'usage' });
    expect(await of('/ds/none.vmdk')).toMatchObject({ kind: 'missing', code: 'file-missing' });
    expect(await of('/ds/golden/../golden/golden.vmdk', GOLDEN)).toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('the same disk'),
    });
    expect(await of('/ds/golden/golden.vmx')).toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining('this is no disk'),
    });
    await put(fs, '/ds/text.vmdk', 'hello');
    expect(await of('/ds/text.vmdk')).toMatchObject({ code: 'not-a-vmdk' });
  });

  it('when a part of the base is missing', async () => {
    const fs = await datastore('monolithicFlat');
    await fs.remove('/ds/golden/golden-flat.vmdk');
    expect(await refusal({ bases: [GOLDEN], into: '/ds' }, { fs })).toMatchObject({ kind: 'missing' });
  });

  it('when the base does not fit its own parent', async () => {
    const fs = await datastore();
    await createDelta('/ds/golden/child.vmdk', GOLDEN, { fs });
    const parent = await openChain(GOLDEN, 'update', { fs });
    await parent.write(sectors(9), Buffer.alloc(512, 1));
    await parent.close();
    const error = await refusal({ bases: ['/ds/golden/child.vmdk'], into: '/ds' }, { fs });
    expect(error.code).toBe('parent-cid-mismatch');
    await fs.remove(GOLDEN);
    expect(await refusal({ bases: ['/ds/golden/child.vmdk'], into: '/ds' }, { fs })).toMatchObject({
      kind: 'missing',
      code: 'parent-missing',
    });
  });

  it('when the chain would grow past 32 links', async () => {
    const fs = await datastore();
    let path = GOLDEN;
    for (let link = 2; link <= 32; link++) {
      const child = `/ds/golden/link${link}.vmdk`;
      await createDelta(child, path, { fs });
      path = child;
    }
    const plan = await planClones({ bases: ['/ds/golden/link31.vmdk'], into: '/ds' }, { fs });
    expect(plan.bases[0]!.links).toBe(31);
    expect(await refusal({ bases: [path], into: '/ds' }, { fs })).toMatchObject({
      kind: 'refused',
      code: 'chain-too-deep',
    });
  });

  it('while somebody may be writing to the base or to what is below it', async () => {
    const fs = await datastore();
    await createDelta('/ds/golden/child.vmdk', GOLDEN, { fs });
    const member = (type: string): Buffer => {
      const bytesOfLock = Buffer.alloc(512);
      bytesOfLock.write(`uuid=elsewhere 77-123(vmx) 1 ${type} [ lc=1`);
      return bytesOfLock;
    };
    await fs.makeFolder(`${GOLDEN}.lck`);
    await put(fs, `${GOLDEN}.lck/M12345.lck`, member('S'));
    const request = { bases: ['/ds/golden/child.vmdk'], into: '/ds' };
    expect((await planClones(request, { fs })).warnings).toEqual([]);
    await put(fs, `${GOLDEN}.lck/M54321.lck`, member('X'));
    const error = await refusal(request, { fs });
    expect(error).toMatchObject({ kind: 'refused', code: 'disk-locked' });
    expect(error.message).toMatch(/golden\.vmdk.*elsewhere.*no exclusive lock/s);
    await fs.remove(`${GOLDEN}.lck/M54321.lck`);
    await put(fs, `${GOLDEN}.lck/M54322.lck`, 'damaged');
    expect((await planClones(request, { fs })).warnings).toMatchObject([{ code: 'lock-stale' }]);
  });

  it('when anything stands in the place of a clone', async () => {
    const fs = await datastore();
    await fs.makeFolder('/ds/golden-clone-02');
    const error = await refusal({ bases: [GOLDEN], into: '/ds', count: 3 }, { fs });
    expect(error).toMatchObject({ kind: 'refused', code: 'target-exists' });
    expect(error.context.path).toBe('/ds/golden-clone-02');
    const files = { bases: [GOLDEN], into: '/ds/golden', names: ['a', 'golden', 'b'], type: 'vmfsSparse' };
    expect((await refusal(files, { fs })).context.path).toBe(GOLDEN);
    await put(fs, '/ds/golden/b-delta.vmdk');
    const plan = await planClones({ ...files, keepGoing: true }, { fs });
    expect(plan.clones.map(({ status, error: why }) => [status, why?.path])).toEqual([
      ['planned', undefined],
      ['refused', GOLDEN],
      ['refused', '/ds/golden/b-delta.vmdk'],
    ]);
    expect(plan.totals).toMatchObject({ clones: 1, files: 2 });
  });

  it('for names that are bad, double, or give one file twice', async () => {
    const fs = await datastore();
    const of = async (names: string[], type = 'monolithicSparse') =>
      (await refusal({ bases: [GOLDEN], into: '/ds/lab', names, type }, { fs })).code;
    expect(await of(['../x'])).toBe('bad-name');
    expect(await of(['x', 'x'])).toBe('duplicate-name');
    expect(await of(['x', 'X-delta'], 'vmfsSparse')).toBe('duplicate-name');
  });

  it('for a folder that is a file, or outside the confines', async () => {
    const fs = await datastore();
    expect(await refusal({ bases: [GOLDEN], into: GOLDEN }, { fs })).toMatchObject({ code: 'not-a-folder' });
    expect(await refusal({ bases: [GOLDEN], into: `${GOLDEN}/x` }, { fs })).toMatchObject({
      code: 'not-a-folder',
    });
    expect(await refusal({ bases: [GOLDEN], into: '' }, { fs })).toMatchObject({ kind: 'usage' });
    expect(await refusal({ bases: [GOLDEN], into: '/lab/new' }, { fs, confine: '/ds' })).toMatchObject({
      code: 'outside-allowed-folders',
    });
  });

  it('for a type that is no delta, or cannot hold the disk', async () => {
    const fs = await datastore();
    const of = (type: string) => refusal({ bases: [GOLDEN], into: '/ds', type }, { fs });
    expect(await of('vmfs')).toMatchObject({ kind: 'unsupported' });
    expect(await of('qcow2')).toMatchObject({ kind: 'usage' });
    await createDisk('/ds/golden/big.vmdk', bytes(3 * 2 ** 40), { fs, type: 'monolithicFlat' });
    const big = { bases: ['/ds/golden/big.vmdk'], into: '/ds', type: 'vmfsSparse' };
    expect(await refusal(big, { fs })).toMatchObject({ code: 'capacity-too-large' });
  });
});

async function factsOf(fs: FileStore): Promise<{ occupied: number; cid: string }> {
  const chain = await openChain(GOLDEN, 'read', { fs });
  await chain.close();
  const cid = chain.leaf.descriptor.cid!.toString(16).padStart(8, '0');
  return { occupied: (await fs.resolve(GOLDEN)).allocated, cid };
}

// Parents told apart by their CIDs: the search for one that was renamed or moved, siblings that are as fresh as their
// base, and what happens when no CID fits.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { craftMonolithic, marked, SECTOR, storeOf } from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const CHILD = '/ds/vm/child.vmdk';
const CAPACITY = 32;
type Files = Record<string, Uint8Array | string>;

const disk = (tag: string, cid: string): Buffer =>
  craftMonolithic({ capacity: CAPACITY, grains: { 0: marked(tag, 0, 8) } }, { cid }).bytes;
const delta = (hint: string | undefined, parentCid = 'ba5e', cid = 'c0ffee'): Buffer =>
  craftMonolithic(
    { capacity: CAPACITY, grains: { 1: marked('child', 8, 8) } },
    { cid, parentCid, ...(hint === undefined ? {} : { hint }) },
  ).bytes;

/** The parent that was found. */
async function parentOf(files: Files, options: ChainOptions = {}, child = CHILD): Promise<string> {
  const chain = await openChain(child, 'read', { fs: storeOf(files), ...options });
  try {
    return chain.links[1]!.path;
  } finally {
    await chain.close();
  }
}
const failure = (files: Files, options: ChainOptions = {}) => {
  const fs = storeOf(files);
  return bounded(() => failureOf(openChain(CHILD, 'read', { fs, ...options })));
};

describe('a search by CID', () => {
  it('finds a renamed parent beside the child, with a wrong hint and without any', async () => {
    for (const hint of ['old-name.vmdk', undefined]) {
      const files = {
        [CHILD]: delta(hint),
        '/ds/vm/renamed.vmdk': disk('base', 'ba5e'),
        '/ds/vm/other.vmdk': disk('o', '1'),
      };
      expect(await parentOf(files)).toBe('/ds/vm/renamed.vmdk');
    }
  });

  it('does not choose between two disks with the CID: the error names both', async () => {
    const files = {
      [CHILD]: delta('gone.vmdk'),
      '/ds/vm/a.vmdk': disk('a', 'ba5e'),
      '/ds/vm/b.vmdk': disk('b', 'ba5e'),
    };
    const error = await failure(files);
    expect(error.code).toBe('parent-missing');
    for (const name of ['gone.vmdk', 'a.vmdk', 'b.vmdk'])
      expect(error.message).toContain(`tried /ds/vm/${name}`);
    expect(error.message).toContain('so have others: name one with --map');
  });

  it('takes the one named as in the hint among several with the CID', async () => {
    const files = {
      [CHILD]: delta('C:\\gone\\b.vmdk'),
      '/allowed/a.vmdk': disk('a', 'ba5e'),
      '/allowed/b.vmdk': disk('b', 'ba5e'),
    };
    expect(await parentOf(files, { allow: ['/allowed'] })).toBe('/allowed/b.vmdk');
  });

  it('takes two names of one file for one', async () => {
    const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-cid-')));
    try {
      fs.mkdirSync(join(folder, 'vm'));
      fs.writeFileSync(join(folder, 'vm/child.vmdk'), delta('gone.vmdk'));
      fs.writeFileSync(join(folder, 'vm/a.vmdk'), disk('a', 'ba5e'));
      fs.linkSync(join(folder, 'vm/a.vmdk'), join(folder, 'vm/b.vmdk'));
      expect(await parentOf({}, { fs: createNodeFileStore() }, join(folder, 'vm/child.vmdk'))).toBe(
        join(folder, 'vm/a.vmdk'),
      );
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('never takes a fresh sibling in place of the base that is gone', async () => {
    const files = {
      [CHILD]: delta('base.vmdk', 'ba5e', 'ba5e'),
      '/ds/vm/sibling.vmdk': delta('base.vmdk', 'ba5e', 'ba5e'),
    };
    const error = await failure(files);
    expect(error).toMatchObject({ code: 'parent-missing', context: { path: CHILD } });
    // With the base at hand under another name, siblings do not make it doubtful.
    const renamed = {
      ...files,
      '/ds/vm/sibling2.vmdk': files['/ds/vm/sibling.vmdk'],
      '/ds/vm/renamed.vmdk': disk('b', 'ba5e'),
    };
    expect(await parentOf(renamed)).toBe('/ds/vm/renamed.vmdk');
  });

  it('never takes a fresh disk that stands on the child, straight or over others', async () => {
    const files: Files = {
      [CHILD]: delta('base.vmdk', 'ba5e', 'ba5e'),
      '/ds/vm/above.vmdk': delta('child.vmdk', 'ba5e', 'ba5e'),
      '/ds/vm/higher.vmdk': delta('above.vmdk', 'ba5e', 'ba5e'),
    };
    const error = await failure(files);
    expect(error).toMatchObject({
      code: 'parent-missing',
      context: {
        path: CHILD,
        candidates: [
          { path: '/ds/vm/base.vmdk', outcome: 'no such file' },
          { path: '/ds/vm/above.vmdk', outcome: 'has the CID, but stands on this disk' },
          { path: '/ds/vm/higher.vmdk', outcome: 'has the CID, but stands on this disk' },
        ],
      },
    });
    const renamed = { ...files, '/ds/vm/renamed.vmdk': disk('b', 'ba5e') };
    expect(await parentOf(renamed)).toBe('/ds/vm/renamed.vmdk');
    // As ESX makes them: a new delta has the CID of "never written", and so has the base.
    const unwritten = {
      [CHILD]: delta('base.vmdk', 'fffffffe', 'c0ffee'),
      '/ds/vm/above.vmdk': delta('child.vmdk', 'c0ffee', 'fffffffe'),
    };
    expect((await failure(unwritten)).code).toBe('parent-missing');
    expect(await parentOf({ ...unwritten, '/ds/vm/renamed.vmdk': disk('b', 'fffffffe') })).toBe(
      '/ds/vm/renamed.vmdk',
    );
  });

  it('of a whole chain without hints looks at each folder once', async () => {
    const files: Files = {};
    for (let link = 0; link < 200; link++) {
      const [cid, parentCid] = [(link + 1).toString(16), link === 199 ? 'ffffffff' : (link + 2).toString(16)];
      files[`/ds/vm/${link}.vmdk`] = craftMonolithic({ capacity: 8 }, { cid, parentCid }).bytes;
    }
    for (let other = 0; other < 1000; other++) files[`/ds/vm/other${other}.vmdk`] = disk('o', 'dead');
    const recording = recordStore(storeOf(files));
    await bounded(async () => {
      const chain = await openChain('/ds/vm/0.vmdk', 'read', { fs: recording.store });
      expect(chain.links).toHaveLength(200);
      await chain.close();
    });
    expect(recording.opened.length).toBeLessThan(1800);
    expectAllClosed(recording);
  });

  it('goes into the folders below an allowed root, and not through links or below the folder of the child', async () => {
    const files: Files = {
      [CHILD]: delta('gone/base.vmdk'),
      '/ds/vm/below/base.vmdk': disk('b', 'ba5e'),
      '/store/readme.txt': 'text',
      '/store/a.vm/deep/moved.vmdk': disk('base', 'ba5e'),
    };
    expect((await failure(files)).code).toBe('parent-missing');
    expect(await parentOf(files, { allow: ['/store'] })).toBe('/store/a.vm/deep/moved.vmdk');
    const root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-below-')));
    try {
      for (const folder of ['ds/vm', 'store', 'far']) fs.mkdirSync(join(root, folder), { recursive: true });
      fs.writeFileSync(join(root, 'ds/vm/child.vmdk'), delta('gone.vmdk'));
      fs.writeFileSync(join(root, 'far/base.vmdk'), disk('b', 'ba5e'));
      fs.symlinkSync('../far', join(root, 'store/to-far'));
      const options = { fs: createNodeFileStore(), allow: [join(root, 'store')] };
      const error = await failureOf(openChain(join(root, 'ds/vm/child.vmdk'), 'read', options));
      expect(error.message).toContain(`tried ${root}/store: searched: no other disk is there or below`);
    } finally {
      fs.rmSync(root, { recursive: true });
    }
  });

  it('tells what it looked at in vain: disks with their CIDs, siblings, and how many more', async () => {
    const files: Files = {
      [CHILD]: delta('gone.vmdk'),
      '/ds/vm/other.vmdk': disk('o', '1234'),
      '/ds/vm/sibling.vmdk': delta('gone.vmdk', 'ba5e', 'ba5e'),
      '/ds/vm/text.vmdk': 'no disk',
    };
    for (let other = 0; other < 11; other++) files[`/store/${other}.vmdk`] = disk('o', 'dead');
    const error = await failure(files, { allow: ['/store', '/ds'] });
    expect(error.context.candidates).toEqual([
      { path: '/ds/vm/gone.vmdk', outcome: 'no such file' },
      { path: '/ds/vm/sibling.vmdk', outcome: 'has the CID, but as a delta of the same parent' },
      { path: '/ds/vm/other.vmdk', outcome: 'a VMDK with CID 00001234' },
      ...[0, 1, 10, 2, 3, 4, 5, 6].map((name) => ({
        path: `/store/${name}.vmdk`,
        outcome: 'a VMDK with CID 0000dead',
      })),
      { path: '/store', outcome: 'searched: 3 more disks, none with the CID' },
      { path: '/ds', outcome: 'searched: no other disk is there or below' },
    ]);
  });

  it('says so where there is more than it looks into', async () => {
    const files: Files = { [CHILD]: delta(undefined) };
    for (let other = 0; other < 2100; other++) files[`/ds/vm/o${other}.vmdk`] = 'version=1\nCID=1\n';
    const { message } = await failure(files);
    expect(message).toContain('tried /ds/vm: searched in part only: too much lies there');
    const folders: Files = { [CHILD]: delta(undefined) };
    for (let other = 0; other < 10_100; other++) folders[`/store/f${other}`] = 'text';
    const { candidates } = (await failure(folders, { allow: ['/store'] })).context;
    expect(candidates).toEqual([{ path: '/store', outcome: 'searched in part only: too much lies there' }]);
    expect(message).toContain('tried /ds/vm: searched: 1991 more disks, none with the CID');
  });

  it('has an end in a folder of thousands of large descriptors', async () => {
    const large = Buffer.from(`version=1\nCID=1\n${'k=1\n'.repeat(15_000)}`);
    const larger = Buffer.concat([large, Buffer.alloc(1 << 20, '#')]);
    const files: Files = { [CHILD]: delta(undefined) };
    for (let other = 0; other < 1500; other++)
      files[`/ds/vm/o${other}.vmdk`] = other % 50 === 0 ? larger : large;
    const error = await failure(files);
    expect(error.code).toBe('parent-missing');
    expect(error.message).toContain('tried /ds/vm: searched in part only');
  });
});

describe('a CID that does not fit', () => {
  const files = { [CHILD]: delta('base.vmdk'), '/ds/vm/base.vmdk': disk('base', '57a1e') };

  it('is an error that names both numbers and both files', async () => {
    const error = await failure(files);
    expect(error).toMatchObject({
      kind: 'corrupt',
      code: 'parent-cid-mismatch',
      context: { path: CHILD, found: 'CID 00057a1e in /ds/vm/base.vmdk', expected: 'CID 0000ba5e' },
    });
    for (const part of [CHILD, '/ds/vm/base.vmdk', '00057a1e', '0000ba5e', '--accept-mismatch']) {
      expect(error.message).toContain(part);
    }
  });

  it('is read under the override, and said', async () => {
    const chain = await openChain(CHILD, 'read', { fs: storeOf(files), acceptMismatch: true });
    const content = await contentOf(chain);
    expectSame(
      content.subarray(0, 16 * SECTOR),
      Buffer.concat([marked('base', 0, 8), marked('child', 8, 8)]),
    );
    expect(chain.findings).toMatchObject([{ code: 'CHAIN-CID', severity: 'error', path: CHILD }]);
    for (const part of ['00057a1e', '0000ba5e', '/ds/vm/base.vmdk'])
      expect(chain.findings[0]!.message).toContain(part);
    await chain.close();
  });

  it('is not overlooked for a disk without a hint, nor overridden there', async () => {
    const error = await failure({ ...files, [CHILD]: delta(undefined) }, { acceptMismatch: true });
    expect(error.code).toBe('parent-missing');
  });

  it('is preferred less than one that fits, under the override as well', async () => {
    const both = { ...files, '/ds/vm/renamed.vmdk': disk('right', 'ba5e') };
    expect(await parentOf(both)).toBe('/ds/vm/renamed.vmdk');
    expect(
      await parentOf(
        { ...files, [CHILD]: delta('x/base.vmdk'), '/ds/vm/x/base.vmdk': disk('x', 'ba5e') },
        { acceptMismatch: true },
      ),
    ).toBe('/ds/vm/x/base.vmdk');
  });
});

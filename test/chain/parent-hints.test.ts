// Where a parent is looked for: every style of hint, in the stated order, and what the error says when none fits.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { parentCandidates } from '../../src/chain/parent-candidates.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { craftMonolithic, marked, SECTOR, storeOf } from '../support/craft.ts';
import { bounded, expectSame, failureOf, readAll } from '../support/hostile.ts';

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

describe('a parent hint', () => {
  const STYLES: [style: string, hint: string, place: string][] = [
    ['a bare name', 'base.vmdk', '/ds/vm/base.vmdk'],
    ['a name in a folder below', 'sub/base.vmdk', '/ds/vm/sub/base.vmdk'],
    ['a relative path', '../base/base.vmdk', '/ds/base/base.vmdk'],
    ['a relative path of this folder', './base.vmdk', '/ds/vm/base.vmdk'],
    ['an absolute path', '/ds/base/base.vmdk', '/ds/base/base.vmdk'],
    [
      'an absolute path of a datastore, files beside the child',
      '/vmfs/volumes/501d/vm/base.vmdk',
      '/ds/vm/base.vmdk',
    ],
    [
      'an absolute path of a datastore, folders as there',
      '/vmfs/volumes/501d/sql/base.vmdk',
      '/ds/sql/base.vmdk',
    ],
    ['a datastore path, folders as there', '[ds1] sql/base.vmdk', '/ds/sql/base.vmdk'],
    ['a datastore path, files beside the child', '[ds1] sql/base.vmdk', '/ds/vm/base.vmdk'],
    ['a datastore path without a blank', '[ds1]sql/base.vmdk', '/ds/sql/base.vmdk'],
    ['a Windows path, files beside the child', 'C:\\VMs\\sql\\base.vmdk', '/ds/vm/base.vmdk'],
    ['a Windows path, folders as there', 'C:\\VMs\\sql\\base.vmdk', '/ds/sql/base.vmdk'],
    ['a Windows path with slashes', 'd:/VMs/sql/base.vmdk', '/ds/sql/base.vmdk'],
    ['a share', '\\\\server\\vms\\sql\\base.vmdk', '/ds/sql/base.vmdk'],
    ['backslashes', '..\\base\\base.vmdk', '/ds/base/base.vmdk'],
    ['a name with a backslash in it', '..\\base.vmdk', '/ds/vm/..\\base.vmdk'],
    ['a wrong folder, files beside the child', '../gone/base.vmdk', '/ds/vm/base.vmdk'],
    ['a wrong depth, folders as there', '../../elsewhere/sql/base.vmdk', '/ds/sql/base.vmdk'],
  ];

  it.each(STYLES)('that is %s (%s) finds %s', async (_, hint, place) => {
    expect(await parentOf({ [CHILD]: delta(hint), [place]: disk('base', 'ba5e') })).toBe(place);
  });

  it('is followed in the stated order: maps, relative, absolute, own folder, last folder', () => {
    const map = [{ from: '/vmfs/volumes/501d', to: '/mnt' }];
    expect(parentCandidates('/vmfs/volumes/501d/sql/b.vmdk', '/ds/vm/c.vmdk', map)).toEqual([
      '/mnt/sql/b.vmdk',
      '/vmfs/volumes/501d/sql/b.vmdk',
      '/ds/vm/b.vmdk',
      '/ds/sql/b.vmdk',
    ]);
    expect(parentCandidates('../sql/b.vmdk', '/ds/vm/c.vmdk', [])).toEqual([
      '/ds/sql/b.vmdk',
      '/ds/vm/b.vmdk',
    ]);
  });

  it('passes over candidates whose CID does not fit, and takes the next that does', async () => {
    const files = {
      [CHILD]: delta('../sql/base.vmdk'),
      '/ds/sql/base.vmdk': disk('stale', '57a1e'),
      '/ds/vm/base.vmdk': disk('base', 'ba5e'),
    };
    expect(await parentOf(files)).toBe('/ds/vm/base.vmdk');
    const content = await readAll(CHILD, { fs: storeOf(files) });
    expectSame(
      content.subarray(0, 16 * SECTOR),
      Buffer.concat([marked('base', 0, 8), marked('child', 8, 8)]),
    );
  });

  it('passes over what is no VMDK, a folder or missing', async () => {
    const files = { [CHILD]: delta('../sql/base.vmdk'), '/ds/vm/base.vmdk': disk('base', 'ba5e') };
    expect(await parentOf({ ...files, '/ds/sql/base.vmdk': 'no disk' })).toBe('/ds/vm/base.vmdk');
    expect(await parentOf({ ...files, '/ds/sql/base.vmdk/file': 'no disk' })).toBe('/ds/vm/base.vmdk');
  });

  it('takes CIDs as numbers: short, long, upper and lower case', async () => {
    const files = { [CHILD]: delta('base.vmdk', '0000BA5E'), '/ds/vm/base.vmdk': disk('base', 'ba5e') };
    expect(await parentOf(files)).toBe('/ds/vm/base.vmdk');
  });

  it('with a CID of "never written" or zero is as good as any', async () => {
    for (const cid of ['fffffffe', '00000000']) {
      const files = { [CHILD]: delta('base.vmdk', cid, cid), '/ds/vm/base.vmdk': disk('base', cid) };
      expect(await parentOf(files)).toBe('/ds/vm/base.vmdk');
    }
  });

  it('with escapes of VMware is unescaped only when the literal name is not there', async () => {
    const literal = {
      [CHILD]: delta('b|41.vmdk'),
      '/ds/vm/b|41.vmdk': disk('base', 'ba5e'),
      '/ds/vm/bA.vmdk': disk('x', '1'),
    };
    expect(await parentOf(literal)).toBe('/ds/vm/b|41.vmdk');
    expect(await parentOf({ [CHILD]: delta('b|41.vmdk'), '/ds/vm/bA.vmdk': disk('base', 'ba5e') })).toBe(
      '/ds/vm/bA.vmdk',
    );
  });
});

describe('a path map', () => {
  const MAPS: [hint: string, from: string, to: string, place: string][] = [
    ['/vmfs/volumes/501d/sql/base.vmdk', '/vmfs/volumes/501d', '/mnt/ds1', '/mnt/ds1/sql/base.vmdk'],
    ['/vmfs/volumes/501d/sql/base.vmdk', '/vmfs/volumes/501d/', '/mnt/ds1/', '/mnt/ds1/sql/base.vmdk'],
    ['/vmfs/volumes/501d/sql/base.vmdk', '/vmfs/volumes/501d/sql/base.vmdk', '/mnt/b.vmdk', '/mnt/b.vmdk'],
    ['[ds1] sql/base.vmdk', '[ds1]', '/mnt/ds1', '/mnt/ds1/sql/base.vmdk'],
    ['[ds1] sql/base.vmdk', '[ds1] sql', '/mnt/ds1', '/mnt/ds1/base.vmdk'],
    ['C:\\VMs\\sql\\base.vmdk', 'C:\\VMs', '/mnt/c', '/mnt/c/sql/base.vmdk'],
    ['C:\\VMs\\sql\\base.vmdk', 'C:/VMs', '/mnt/c', '/mnt/c/sql/base.vmdk'],
    ['\\\\server\\vms\\base.vmdk', '\\\\server\\vms', '/mnt/s', '/mnt/s/base.vmdk'],
    ['base.vmdk', 'base.vmdk', '/mnt/base.vmdk', '/mnt/base.vmdk'],
  ];

  it.each(MAPS)('takes %s from %s to %s, before all else', async (hint, from, to, place) => {
    const files = {
      [CHILD]: delta(hint),
      [place]: disk('base', 'ba5e'),
      '/ds/vm/base.vmdk': disk('other', 'ba5e'),
    };
    expect(await parentOf(files, { pathMap: [{ from, to }], allow: ['/mnt'] })).toBe(place);
  });

  it('goes by whole folders, and in the order given', async () => {
    const files = {
      [CHILD]: delta('/vmfs/volumes/501d/base.vmdk'),
      '/mnt/1/base.vmdk': disk('1', 'ba5e'),
      '/mnt/2/base.vmdk': disk('2', 'ba5e'),
      '/mnt/3d/base.vmdk': disk('3', 'ba5e'),
    };
    const pathMap = [
      { from: '/vmfs/volumes/501', to: '/mnt/3' },
      { from: '/vmfs/volumes/501d', to: '/mnt/2' },
      { from: '/vmfs', to: '/mnt/1' },
    ];
    expect(await parentOf(files, { pathMap, allow: ['/mnt'] })).toBe('/mnt/2/base.vmdk');
  });

  it('does not lead outside what is allowed, also with .. in the hint', async () => {
    const files = {
      [CHILD]: delta('/vmfs/volumes/501d/../../etc/base.vmdk'),
      '/mnt/a/b/x': 'x',
      '/mnt/etc/base.vmdk': disk('etc', 'ba5e'),
    };
    const error = await failure(files, {
      pathMap: [{ from: '/vmfs/volumes/501d', to: '/mnt/a/b' }],
      allow: ['/mnt/a'],
    });
    expect(error.code).toBe('parent-missing');
    expect(error.message).toContain('tried /mnt/etc/base.vmdk: outside the allowed folders');
  });
});

describe('a parent outside the surroundings of its child', () => {
  const files = { [CHILD]: delta('/far/away/base.vmdk'), '/far/away/base.vmdk': disk('base', 'ba5e') };

  it('is refused, and found with --allow', async () => {
    const error = await failure(files);
    expect(error.code).toBe('parent-missing');
    expect(error.message).toContain('tried /far/away/base.vmdk: outside the allowed folders (see --allow)');
    expect(error.context.hint).toContain('or name its folder with --allow /far/away. ');
    expect(await parentOf(files, { allow: ['/far'] })).toBe('/far/away/base.vmdk');
  });

  it('that moved into an allowed folder is found there by its CID, whatever its name', async () => {
    const moved = { [CHILD]: delta('gone/base.vmdk'), '/far/renamed.vmdk': disk('base', 'ba5e') };
    expect((await failure(moved)).code).toBe('parent-missing');
    expect(await parentOf(moved, { allow: ['/far'] })).toBe('/far/renamed.vmdk');
  });

  it('is refused below --confine, even when it is allowed', async () => {
    const beside = { [CHILD]: delta('../base/base.vmdk'), '/ds/base/base.vmdk': disk('base', 'ba5e') };
    expect(await parentOf(beside)).toBe('/ds/base/base.vmdk');
    expect((await failure(beside, { confine: '/ds/vm' })).code).toBe('parent-missing');
    expect((await failure(beside, { confine: '/ds/vm', allow: ['/ds'] })).code).toBe('parent-missing');
    expect(await parentOf(beside, { confine: '/ds' })).toBe('/ds/base/base.vmdk');
  });
});

describe('the error about a parent that cannot be found', () => {
  it('lists every candidate with what became of it, and the way out', async () => {
    const files = {
      [CHILD]: delta('/vmfs/volumes/501d/sql/base.vmdk'),
      '/ds/sql/base.vmdk': 'no disk',
    };
    const error = await failure(files, { pathMap: [{ from: '/vmfs/volumes/501d', to: '/ds/mapped' }] });
    expect(error).toMatchObject({
      kind: 'missing',
      code: 'parent-missing',
      context: {
        path: CHILD,
        found: '"/vmfs/volumes/501d/sql/base.vmdk"',
        expected: 'a disk with CID 0000ba5e',
        candidates: [
          { path: '/ds/mapped/sql/base.vmdk', outcome: 'no such file' },
          { path: '/vmfs/volumes/501d/sql/base.vmdk', outcome: 'outside the allowed folders (see --allow)' },
          { path: '/ds/vm/base.vmdk', outcome: 'no such file' },
          { path: '/ds/sql/base.vmdk', outcome: 'not a VMDK' },
        ],
      },
    });
    for (const part of ['--map', '--allow', 'tried /ds/vm/base.vmdk: no such file'])
      expect(error.message).toContain(part);
  });

  it('says so when there was no hint', async () => {
    expect(await failure({ [CHILD]: delta(undefined) })).toMatchObject({ context: { found: 'no hint' } });
  });
});

describe('a hint through a folder that is a symbolic link', () => {
  it('is followed when it leads to an allowed place, and not when it leads out', async () => {
    const base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-link-')));
    try {
      for (const folder of ['ds/vm', 'ds/base', 'far']) fs.mkdirSync(join(base, folder), { recursive: true });
      fs.symlinkSync('../base', join(base, 'ds/vm/to-base'));
      fs.symlinkSync(join(base, 'far'), join(base, 'ds/vm/to-far'));
      fs.symlinkSync(join(base, 'ds/vm'), join(base, 'vm-alias'));
      for (const place of ['ds/base/base.vmdk', 'far/base.vmdk'])
        fs.writeFileSync(join(base, place), disk('b', 'ba5e'));
      const child = join(base, 'ds/vm/child.vmdk');
      const options = { fs: createNodeFileStore() };
      fs.writeFileSync(child, delta('to-base/base.vmdk'));
      expect(await parentOf({}, options, child)).toBe(join(base, 'ds/base/base.vmdk'));
      // The child by another way: hints count from where it really is.
      fs.writeFileSync(child, delta('../base/base.vmdk'));
      expect(await parentOf({}, options, join(base, 'vm-alias/child.vmdk'))).toBe(
        join(base, 'ds/base/base.vmdk'),
      );
      fs.writeFileSync(child, delta('to-far/base.vmdk'));
      expect((await failureOf(openChain(child, 'read', options))).code).toBe('parent-missing');
      expect(await parentOf({}, { ...options, allow: [join(base, 'far')] }, child)).toBe(
        join(base, 'far/base.vmdk'),
      );
    } finally {
      fs.rmSync(base, { recursive: true });
    }
  });
});

describe('any link of a chain', () => {
  it('can be opened as the leaf', async () => {
    const files: Files = { '/ds/vm/0.vmdk': disk('l0', '100') };
    const memory = (link: number): Buffer =>
      craftMonolithic(
        { capacity: CAPACITY, grains: { [link]: marked(`l${link}`, link * 8, 8) } },
        { cid: (0x100 + link).toString(16), parentCid: (0xff + link).toString(16), hint: `${link - 1}.vmdk` },
      ).bytes;
    for (let link = 1; link < 4; link++) files[`/ds/vm/${link}.vmdk`] = memory(link);
    const fsOf = createMemoryFileStore(files as Record<string, Uint8Array>);
    for (let leaf = 0; leaf < 4; leaf++) {
      const parts = [0, 1, 2, 3].map((link) =>
        link <= leaf ? marked(`l${link}`, link * 8, 8) : Buffer.alloc(8 * SECTOR),
      );
      expectSame(await readAll(`/ds/vm/${leaf}.vmdk`, { fs: fsOf }), Buffer.concat(parts), `leaf ${leaf}`);
    }
  });
});

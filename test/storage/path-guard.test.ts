// What a disk may lead to, tried with real links, FIFOs, devices and neighbours whose names begin alike.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { createPathGuard, type PathGuardOptions } from '../../src/storage/path-guard.ts';
import { makeFifo } from './store-suite.ts';

let base: string;
let asked: string[];
let store: FileStore;
const at = (name: string): string => join(base, name);
const guard = (options: Omit<PathGuardOptions, 'store'> = {}) => createPathGuard({ store, ...options });
const extent = (name: string, options: Omit<PathGuardOptions, 'store'> = {}) =>
  guard(options).assertExtentAllowed(name, at('ds/vm/d.vmdk'));
const parent = (name: string, options: Omit<PathGuardOptions, 'store'> = {}) =>
  guard(options).assertParentAllowed(name, at('ds/vm/d.vmdk'));

const OUTSIDE = { kind: 'refused', code: 'outside-allowed-folders' };
const FOREIGN = { kind: 'unsupported', code: 'not-a-file-name' };

beforeEach(() => {
  base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-guard-')));
  for (const folder of ['ds/vm', 'far', 'ds/vm/sub', 'ds/vm-evil', 'ds/other', 'ds-evil', 'far/deep']) {
    fs.mkdirSync(at(folder), { recursive: true });
    fs.writeFileSync(at(`${folder}/x.vmdk`), folder);
  }
  fs.writeFileSync(at('ds/vm/d.vmdk'), 'descriptor');
  asked = [];
  const real = createNodeFileStore();
  store = {
    ...real,
    resolve: (path) => {
      asked.push(path);
      return real.resolve(path);
    },
  };
});
afterEach(() => fs.rmSync(base, { recursive: true }));

describe('an extent', () => {
  it('may lie in the folder of its descriptor or below, however that is written', async () => {
    for (const name of ['x.vmdk', './x.vmdk', 'sub/../x.vmdk', '../vm/x.vmdk', at('ds/vm/x.vmdk')]) {
      expect((await extent(name)).path, name).toBe(at('ds/vm/x.vmdk'));
    }
    expect((await extent('sub/x.vmdk')).path).toBe(at('ds/vm/sub/x.vmdk'));
  });

  it('may lie nowhere else, not even where a name begins alike', async () => {
    const names = [
      '../other/x.vmdk',
      '../vm-evil/x.vmdk',
      '../../ds-evil/x.vmdk',
      '/etc/passwd',
      '/proc/self/environ',
      '/dev/zero',
      '/dev/sda',
      '..',
      '.',
      '',
    ];
    for (const name of names) await expect(extent(name), name).rejects.toMatchObject(OUTSIDE);
  });

  it('outside is refused alike whether or not it is there, without looking', async () => {
    await expect(extent('/etc/passwd')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('/etc/there-is-no-such-file')).rejects.toMatchObject(OUTSIDE);
    expect(asked).toEqual([]);
  });

  it('is followed through symbolic links before it is judged', async () => {
    fs.symlinkSync(at('ds/vm/sub/x.vmdk'), at('ds/vm/inside'));
    fs.symlinkSync('/etc/passwd', at('ds/vm/outside'));
    fs.symlinkSync(at('far'), at('ds/vm/folder'));
    expect((await extent('inside')).path).toBe(at('ds/vm/sub/x.vmdk'));
    await expect(extent('outside')).rejects.toMatchObject({ ...OUTSIDE, context: { found: '/etc/passwd' } });
    await expect(extent('folder/x.vmdk')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('folder/deep/x.vmdk')).rejects.toMatchObject(OUTSIDE);
  });

  it('behind a link that leads outside is refused alike whether or not it is there', async () => {
    fs.symlinkSync(at('far'), at('ds/vm/folder'));
    fs.symlinkSync(at('far/none'), at('ds/vm/dangling'));
    fs.symlinkSync('loop', at('ds/vm/loop'));
    await expect(extent('folder/none.vmdk')).rejects.toMatchObject({
      ...OUTSIDE,
      context: { found: at('far/none.vmdk') },
    });
    await expect(extent('folder/none/none.vmdk')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('dangling')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('dangling/x')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('loop')).rejects.toMatchObject(OUTSIDE);
  });

  it('that is missing within its folder is said to be missing', async () => {
    const missing = { kind: 'missing', code: 'file-missing', context: { path: at('ds/vm/none.vmdk') } };
    await expect(extent('none.vmdk')).rejects.toMatchObject(missing);
    await expect(extent('none/none.vmdk')).rejects.toMatchObject({ code: 'file-missing' });
    await expect(extent('x.vmdk/none.vmdk')).rejects.toMatchObject({ code: 'file-missing' });
  });

  it('is a regular file and nothing else', async () => {
    makeFifo(at('ds/vm/fifo'));
    fs.symlinkSync('/dev/zero', at('ds/vm/zero'));
    const refused = { kind: 'refused', code: 'not-a-regular-file' };
    await expect(extent('fifo')).rejects.toMatchObject({ ...refused, context: { found: 'a FIFO' } });
    await expect(extent('sub')).rejects.toMatchObject({ ...refused, context: { found: 'a folder' } });
    await expect(extent('zero')).rejects.toMatchObject(OUTSIDE);
    await expect(extent('zero', { allow: ['/dev'] })).rejects.toMatchObject({
      ...refused,
      context: { found: 'a device' },
    });
  });

  it.each([
    'nbd://127.0.0.1',
    'json:{"driver":"file"}',
    'http://h/x',
    'HTTPS://h/x',
    'fat:rw:/etc',
    'vsan://uuid',
    'weird+scheme://x',
    'C:\\x.vmdk',
    'd:/x.vmdk',
    'C:',
    '\\\\host\\share\\x.vmdk',
    '\\\\.\\PhysicalDrive0',
    '\\\\?\\C:\\x',
  ])('named %s is explained and never opened, joined to the folder or not', async (name) => {
    fs.writeFileSync(at('far/x.vmdk'), 'x');
    await expect(extent(name, { allow: ['/'] })).rejects.toMatchObject(FOREIGN);
    await expect(extent(`${at('ds/vm')}/${name}`)).rejects.toMatchObject(FOREIGN);
    await expect(parent(name)).rejects.toMatchObject(FOREIGN);
    expect(asked.filter((path) => path !== '/')).toEqual([]);
  });

  it('may have a colon, a backslash, a blank or a dot in its name, like any file', async () => {
    for (const name of ['12:30.vmdk', 'vm-10:30.vmdk', '..\\up.vmdk', 'blank ', 'dot.', 'my disk.vmdk']) {
      fs.writeFileSync(at(`ds/vm/${name}`), name);
      expect((await extent(name)).path).toBe(at(`ds/vm/${name}`));
    }
  });

  it('with a NUL in its name is refused', async () => {
    await expect(extent('x.vmdk\0.txt')).rejects.toMatchObject({ kind: 'refused', code: 'nul-in-name' });
  });

  it('is told apart from a hostile name in a message that stays readable', async () => {
    const error: unknown = await extent(`../\u001b[2J\n${'a'.repeat(5000)}`).catch(
      (reason: unknown) => reason,
    );
    expect((error as Error).message).not.toContain('\u001b');
  });
});

describe('a parent', () => {
  it('may lie below the folder that holds the folder of its child', async () => {
    expect((await parent('../other/x.vmdk')).path).toBe(at('ds/other/x.vmdk'));
    expect((await parent(at('ds/vm-evil/x.vmdk'))).path).toBe(at('ds/vm-evil/x.vmdk'));
    expect((await parent('x.vmdk')).path).toBe(at('ds/vm/x.vmdk'));
  });

  it('may lie nowhere else', async () => {
    for (const name of ['../../ds-evil/x.vmdk', at('far/x.vmdk'), '/etc/passwd', '../../x']) {
      await expect(parent(name), name).rejects.toMatchObject(OUTSIDE);
    }
    fs.symlinkSync(at('far/x.vmdk'), at('ds/other/link'));
    await expect(parent('../other/link')).rejects.toMatchObject(OUTSIDE);
  });

  it('of a disk in a folder of the root may lie in that folder alone', async () => {
    const memory = createMemoryFileStore({
      '/vm/a': new Uint8Array(1),
      '/etc/passwd': new Uint8Array(1),
      '/b': new Uint8Array(1),
    });
    const small = createPathGuard({ store: memory });
    expect((await small.assertParentAllowed('a', '/vm/d.vmdk')).path).toBe('/vm/a');
    await expect(small.assertParentAllowed('../etc/passwd', '/vm/d.vmdk')).rejects.toMatchObject(OUTSIDE);
  });

  it('and extents of a disk in the root itself lie directly in it', async () => {
    const memory = createMemoryFileStore({ '/etc/passwd': new Uint8Array(1), '/b': new Uint8Array(1) });
    const small = createPathGuard({ store: memory });
    expect((await small.assertParentAllowed('b', '/d.vmdk')).path).toBe('/b');
    expect((await small.assertExtentAllowed('b', '/d.vmdk')).path).toBe('/b');
    await expect(small.assertExtentAllowed('etc/passwd', '/d.vmdk')).rejects.toMatchObject(OUTSIDE);
    await expect(small.assertParentAllowed('etc/passwd', '/d.vmdk')).rejects.toMatchObject(OUTSIDE);
  });
});

describe('--allow', () => {
  it('lets extents and parents lie in its folders, also through a link to one', async () => {
    fs.symlinkSync(at('far'), at('alias'));
    for (const allow of [[at('far')], [at('alias')], [at('ds-evil'), at('far')]]) {
      expect((await extent('../../far/deep/x.vmdk', { allow })).path).toBe(at('far/deep/x.vmdk'));
      expect((await parent(at('far/x.vmdk'), { allow })).path).toBe(at('far/x.vmdk'));
    }
    expect((await parent(at('alias/x.vmdk'), { allow: [at('alias')] })).path).toBe(at('far/x.vmdk'));
  });

  it('of / allows everything, and a confine of / nothing less', async () => {
    for (const options of [{ allow: ['/'] }, { allow: ['/'], confine: '/' }]) {
      expect((await extent(at('far/deep/x.vmdk'), options)).path).toBe(at('far/deep/x.vmdk'));
      expect((await parent('../../far/x.vmdk', options)).path).toBe(at('far/x.vmdk'));
    }
    expect((await parent('../other/x.vmdk', { confine: '/' })).path).toBe(at('ds/other/x.vmdk'));
    expect((await guard({ confine: '/' }).assertNamedAllowed(at('far/x.vmdk'))).path).toBe(at('far/x.vmdk'));
    await expect(extent('../other/x.vmdk', { confine: '/' })).rejects.toMatchObject(OUTSIDE);
  });

  it('widens no further than it says', async () => {
    fs.symlinkSync('/etc/passwd', at('far/link'));
    await expect(extent('../../ds-evil/x.vmdk', { allow: [at('far')] })).rejects.toMatchObject(OUTSIDE);
    await expect(extent(at('far/link'), { allow: [at('far')] })).rejects.toMatchObject(OUTSIDE);
    await expect(extent(at('far/x.vmdk'), { allow: [at('far/deep')] })).rejects.toMatchObject(OUTSIDE);
  });

  it('of a file allows that file alone', async () => {
    const allow = [at('far/x.vmdk')];
    expect((await extent('../../far/x.vmdk', { allow })).path).toBe(at('far/x.vmdk'));
    await expect(extent(at('far/deep/x.vmdk'), { allow })).rejects.toMatchObject(OUTSIDE);
    await expect(extent(at('far/x.vmdk.vmdk'), { allow })).rejects.toMatchObject(OUTSIDE);
  });

  it('that is missing, or a confine that is no folder, is a mistake of usage', async () => {
    await expect(extent('x.vmdk', { allow: [at('none')] })).rejects.toMatchObject({ kind: 'usage' });
    await expect(extent('x.vmdk', { confine: at('none') })).rejects.toMatchObject({ kind: 'usage' });
    await expect(extent('x.vmdk', { confine: at('far/x.vmdk') })).rejects.toMatchObject({ kind: 'usage' });
  });

  it('is what a refusal proposes, with file, place and rule', async () => {
    const error: unknown = await extent('../other/x.vmdk').catch((reason: unknown) => reason);
    const { message } = error as Error;
    for (const part of [
      at('ds/vm/d.vmdk'),
      '"../other/x.vmdk"',
      `found ${at('ds/other/x.vmdk')}`,
      `below ${at('ds/vm')}`,
      `--allow ${at('ds/other')}`,
    ]) {
      expect(message).toContain(part);
    }
  });
});

describe('--confine', () => {
  it('narrows what parents, extents and --allow may reach', async () => {
    const confine = at('ds/vm');
    expect((await parent('x.vmdk', { confine })).path).toBe(at('ds/vm/x.vmdk'));
    await expect(parent('../other/x.vmdk', { confine })).rejects.toMatchObject(OUTSIDE);
    await expect(extent(at('far/x.vmdk'), { confine, allow: [at('far')] })).rejects.toMatchObject(OUTSIDE);
    await expect(extent('x.vmdk', { confine: at('ds/vm/sub') })).rejects.toMatchObject(OUTSIDE);
  });

  it('holds for the disk that the user names, links followed, there or not', async () => {
    const confine = at('ds');
    fs.symlinkSync(at('far/x.vmdk'), at('ds/link'));
    fs.symlinkSync(at('far/none'), at('ds/dangling'));
    fs.symlinkSync(at('ds'), at('alias'));
    const named = (name: string) => guard({ confine }).assertNamedAllowed(at(name));
    expect((await named('ds/vm/d.vmdk')).path).toBe(at('ds/vm/d.vmdk'));
    expect((await named('alias/vm/d.vmdk')).path).toBe(at('ds/vm/d.vmdk'));
    for (const name of [
      'far/x.vmdk',
      'far/none',
      'none/none',
      'ds-evil/x.vmdk',
      'ds/link',
      'ds/dangling',
      'ds/../far/x.vmdk',
    ]) {
      await expect(named(name), name).rejects.toMatchObject(OUTSIDE);
    }
    await expect(named('ds/none')).rejects.toMatchObject({ code: 'file-missing' });
  });

  it('is not asked for without the option: the user may name anything', async () => {
    expect((await guard().assertNamedAllowed('/dev/zero')).kind).toBe('device');
    await expect(guard().assertNamedAllowed(at('none'))).rejects.toMatchObject({ code: 'file-missing' });
    await expect(guard().assertNamedAllowed('a\0b')).rejects.toMatchObject({ code: 'nul-in-name' });
  });
});

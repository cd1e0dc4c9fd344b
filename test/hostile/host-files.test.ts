// Section A of the attack list: descriptors that name files of the host. On a real file system, with real links, FIFOs and
// devices, and a store that writes down every file opened: nothing outside the disk's surroundings is.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { craftCowd, craftMonolithic, marked, text, type Text } from '../support/craft.ts';
import { bounded, expectSame, failureOf, readAll, refusal } from '../support/hostile.ts';
import { expectAllClosed, expectInside, recordStore, type Recording } from '../support/recording-store.ts';
import { makeFifo } from '../storage/store-suite.ts';

const SECRET = 'TOP-SECRET-OF-THE-HOST';

let base: string;
let recording: Recording;
let options: ChainOptions;
const at = (name: string): string => join(base, name);
const DISK = 'ds/vm/disk.vmdk';
const write = (name: string, content: string | Buffer): void => fs.writeFileSync(at(name), content);
const disk = (fields: Text): void => write(DISK, text(fields));

beforeEach(() => {
  base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-host-')));
  for (const folder of ['ds/vm/sub', 'ds/other', 'far']) fs.mkdirSync(at(folder), { recursive: true });
  for (const name of ['far/secret', 'secret', 'ds/secret', 'ds/other/secret'])
    write(name, SECRET.repeat(100));
  write('ds/vm/flat.vmdk', marked('f', 0, 8));
  recording = recordStore(createNodeFileStore());
  options = { fs: recording.store };
});
afterEach(() => fs.rmSync(base, { recursive: true }));

describe('an extent line', () => {
  const TYPES = ['FLAT', 'VMFS', 'SPARSE', 'VMFSSPARSE', 'SESPARSE'];
  const NAMES = [
    '/etc/passwd',
    '/etc/shadow',
    '/proc/self/environ',
    '/proc/self/fd/0',
    '/dev/zero',
    '/dev/stdin',
    '/dev/sda',
    '//etc/passwd',
    '/../etc/passwd',
    '../secret',
    '../../secret',
    '../../../../../../../../etc/passwd',
    'sub/../../secret',
    './../other/secret',
    '..\\secret',
    '..\\..\\secret',
    '|2e|2e|2fsecret',
    '..',
    '.',
    '/',
    '',
  ];

  it.each(TYPES.flatMap((type) => NAMES.map((name) => [type, name] as const)))(
    'of type %s that names "%s" opens nothing but the descriptor',
    async (type, name) => {
      disk({ extents: [`RW 1 ${type} "${name}"${type === 'FLAT' ? ' 0' : ''}`] });
      const error = await refusal(at(DISK), options);
      expect(recording.opened).toEqual([at(DISK)]);
      expectAllClosed(recording);
      expect(error.message).not.toContain(SECRET);
      expect(['refused', 'unsupported', 'missing']).toContain(error.kind);
    },
  );

  it('of a createType that allows anything is held to the same', async () => {
    for (const createType of [
      'monolithicFlat',
      'twoGbMaxExtentFlat',
      'vmfs',
      'fullDevice',
      'partitionedDevice',
      'custom',
    ]) {
      disk({ createType, extents: ['RW 1 FLAT "../../secret" 0'] });
      expect(await refusal(at(DISK), options), createType).toMatchObject({
        kind: 'refused',
        code: 'outside-allowed-folders',
        context: { path: at(DISK), found: at('secret') },
      });
    }
    expectInside(recording, at('ds/vm'));
  });

  it.each([
    '\\\\.\\PhysicalDrive0',
    '\\\\?\\C:\\x.vmdk',
    'C:\\disks\\x.vmdk',
    'C:/disks/x.vmdk',
    'c:x',
    '\\\\host\\share\\x.vmdk',
    '//host/share/x.vmdk',
    'json:{"driver":"file","filename":"/etc/passwd"}',
    'nbd://127.0.0.1',
    'nbd:127.0.0.1:10809',
    'http://127.0.0.1/x.vmdk',
    'https://127.0.0.1/x.vmdk',
    'fat:rw:/etc',
    'file:///etc/passwd',
    'vsan://5a1b2c3d',
    'ssh://host/etc/passwd',
    's3://bucket/x.vmdk',
  ])('that names %s is explained, and nothing is looked up', async (name) => {
    for (const type of ['FLAT', 'SPARSE']) {
      disk({ extents: [`RW 1 ${type} "${name}" 0`] });
      const error = await refusal(at(DISK), options);
      expect(['refused', 'unsupported', 'missing']).toContain(error.kind);
      expect(error.context.path).toBe(at(DISK));
    }
    expect(recording.opened).toEqual([at(DISK), at(DISK)]);
    expectAllClosed(recording);
  });

  it('that leads out through a symbolic link is refused', async () => {
    const links: [string, string][] = [
      ['file-link', at('far/secret')],
      ['relative-link', '../../secret'],
      ['folder-link', at('far')],
      ['dangling', at('far/none')],
      ['loop', 'loop'],
      ['zero', '/dev/zero'],
      ['twice', 'relative-link'],
    ];
    for (const [name, target] of links) fs.symlinkSync(target, at(`ds/vm/${name}`));
    for (const name of [
      'file-link',
      'relative-link',
      'folder-link/secret',
      'dangling',
      'loop',
      'zero',
      'twice',
    ]) {
      disk({ extents: [`RW 1 FLAT "${name}" 0`] });
      expect(await refusal(at(DISK), options), name).toMatchObject({
        kind: 'refused',
        code: 'outside-allowed-folders',
      });
    }
    expectInside(recording, at('ds/vm'));
  });

  it('that leads to a FIFO, a folder or a device is refused without waiting', async () => {
    makeFifo(at('ds/vm/fifo'));
    fs.symlinkSync('fifo', at('ds/vm/fifo-link'));
    for (const name of ['fifo', 'fifo-link', 'sub', 'sub/', 'sub/.']) {
      disk({ extents: [`RW 1 FLAT "${name}" 0`] });
      expect(await refusal(at(DISK), options), name).toMatchObject({
        kind: 'refused',
        code: 'not-a-regular-file',
      });
    }
    expectInside(recording, at('ds/vm'));
    disk({ extents: ['RW 1 FLAT "/dev/zero" 0'] });
    expect((await refusal(at(DISK), { ...options, allow: ['/dev'] })).code).toBe('raw-device');
    fs.symlinkSync('/dev/zero', at('ds/vm/zero'));
    disk({ extents: ['RW 1 FLAT "zero" 0'] });
    expect(await refusal(at(DISK), { ...options, allow: ['/dev'] })).toMatchObject({
      code: 'not-a-regular-file',
    });
    expectInside(recording, at('ds/vm'));
  });

  it('with a NUL ends there: what follows is no text', async () => {
    write(DISK, Buffer.from(text({ extents: ['RW 1 FLAT "flat.vmdk\0/../../secret" 0'] })));
    expect(await refusal(at(DISK), options)).toMatchObject({
      kind: 'corrupt',
      code: 'desc-unbalanced-quote',
    });
    expectInside(recording, at('ds/vm'));
  });

  it('with a trailing blank or dot means a file of that very name', async () => {
    for (const name of ['flat.vmdk ', 'flat.vmdk.', ' flat.vmdk']) {
      disk({ extents: [`RW 1 FLAT "${name}" 0`] });
      expect(await refusal(at(DISK), options), name).toMatchObject({ code: 'extent-missing' });
      write(`ds/vm/${name}`, marked(name, 0, 1));
      expectSame(await readAll(at(DISK), options), marked(name, 0, 1));
    }
  });

  it('may lead further only with --allow, and then no further than that', async () => {
    disk({ extents: ['RW 1 FLAT "../../far/secret" 0'] });
    const content = await readAll(at(DISK), { ...options, allow: [at('far')] });
    expect(content.toString('latin1')).toContain(SECRET);
    disk({ extents: ['RW 1 FLAT "../../secret" 0'] });
    expect(await refusal(at(DISK), { ...options, allow: [at('far')] })).toMatchObject({
      code: 'outside-allowed-folders',
    });
  });

  it('is narrowed by --confine, also for the disk that is named', async () => {
    disk({ extents: ['RW 1 FLAT "flat.vmdk" 0'] });
    expectSame(await readAll(at(DISK), { ...options, confine: at('ds/vm') }), marked('f', 0, 1));
    const outside = { kind: 'refused', code: 'outside-allowed-folders' };
    expect(await refusal(at(DISK), { ...options, confine: at('ds/vm/sub') })).toMatchObject(outside);
    expect(await refusal(at(DISK), { ...options, confine: at('far') })).toMatchObject(outside);
  });
});

describe('a disk that is named', () => {
  it('is a regular file, and is not waited for when it is not', async () => {
    makeFifo(at('ds/vm/fifo'));
    for (const path of [at('ds/vm/fifo'), '/dev/zero', '/dev/stdin', at('ds/vm'), '/proc/self']) {
      const error = await bounded(() => failureOf(openDisk(path, options)));
      expect(['not-a-file', 'file-missing', 'file-not-readable'], path).toContain(error.code);
    }
    expect(await failureOf(openDisk(at('ds/vm/a\0b'), options))).toMatchObject({ code: 'nul-in-name' });
    expectAllClosed(recording);
  });

  it('may be a symbolic link: then it is where the link leads, and so are its extents', async () => {
    disk({ extents: ['RW 1 FLAT "flat.vmdk" 0'] });
    fs.symlinkSync(at(DISK), at('far/link.vmdk'));
    write('far/flat.vmdk', SECRET.repeat(30));
    expectSame(await readAll(at('far/link.vmdk'), options), marked('f', 0, 1));
    expectInside(recording, at('ds/vm'));
  });

  it('that is a bare extent looks for its descriptor beside it, and nowhere else', async () => {
    const { bytes } = craftCowd({ capacity: 8 });
    write('ds/vm/x-delta.vmdk', bytes);
    fs.symlinkSync(at('far/secret'), at('ds/vm/x.vmdk'));
    expect(await refusal(at('ds/vm/x-delta.vmdk'), options)).toMatchObject({ code: 'bare-extent' });
    expectInside(recording, at('ds/vm'));
    fs.rmSync(at('ds/vm/x.vmdk'));
    makeFifo(at('ds/vm/x.vmdk'));
    expect(await refusal(at('ds/vm/x-delta.vmdk'), options)).toMatchObject({ code: 'bare-extent' });
    expectInside(recording, at('ds/vm'));
  });
});

describe('a parent hint', () => {
  const HINTS = [
    '/etc/passwd',
    '/proc/self/environ',
    '/dev/zero',
    '/vmfs/volumes/501d996c/sql/secret',
    '../../secret',
    '../../far/secret',
    '..\\..\\secret',
    'C:\\Windows\\secret',
    '\\\\host\\share\\secret',
    '\\\\.\\PhysicalDrive0',
    'json:{"driver":"file"}',
    'nbd://127.0.0.1',
    'http://127.0.0.1/secret',
    'vsan://uuid',
    '..',
    '.',
    '/',
  ];

  it.each(HINTS)(
    'that says "%s" opens nothing outside, and the error tells all that was tried',
    async (hint) => {
      disk({ parentCid: '1', hint, extents: ['RW 8 FLAT "flat.vmdk" 0'] });
      const error = await refusal(at(DISK), options);
      expect(error).toMatchObject({ kind: 'missing', code: 'parent-missing', context: { path: at(DISK) } });
      expect(error.context.candidates!.length).toBeGreaterThan(0);
      expect(error.message).not.toContain(SECRET);
      expectInside(recording, at('ds'));
    },
  );

  it('that leads through links to a file outside, a FIFO or a device opens none of them', async () => {
    fs.symlinkSync(at('far'), at('ds/other/out'));
    fs.symlinkSync('/dev/zero', at('ds/other/zero.vmdk'));
    makeFifo(at('ds/other/fifo.vmdk'));
    for (const hint of ['../other/out/secret', '../other/zero.vmdk', '../other/fifo.vmdk', '../other']) {
      disk({ parentCid: '1', hint, extents: ['RW 8 FLAT "flat.vmdk" 0'] });
      expect(await refusal(at(DISK), options), hint).toMatchObject({ code: 'parent-missing' });
    }
    expectInside(recording, at('ds'));
  });

  it('to a file that is no VMDK, or whose CID does not fit, never becomes contents', async () => {
    for (const mode of [false, true]) {
      disk({ parentCid: '1', hint: '../other/secret', extents: ['RW 8 SPARSE "s001.vmdk"'] });
      write('ds/vm/s001.vmdk', craftMonolithic({ capacity: 8 }).bytes);
      const error = await refusal(at(DISK), { ...options, acceptMismatch: mode });
      expect(error).toMatchObject({ code: 'parent-missing' });
      expect(error.message).toContain(`${at('ds/other/secret')}: not a VMDK`);
    }
  });

  it('finds a companion whose descriptor is a link to outside: the link is not followed', async () => {
    write('ds/other/p-delta.vmdk', craftCowd({ capacity: 8 }).bytes);
    fs.symlinkSync(at('far/secret'), at('ds/other/p.vmdk'));
    disk({ parentCid: '1', hint: '../other/p-delta.vmdk', extents: ['RW 8 FLAT "flat.vmdk" 0'] });
    expect(await refusal(at(DISK), options)).toMatchObject({ code: 'parent-missing' });
    expectInside(recording, at('ds'));
  });

  it('that is empty searches the own folder by CID, and opens no link that leads out', async () => {
    fs.symlinkSync(at('far/secret'), at('ds/vm/a.vmdk'));
    fs.symlinkSync('/dev/zero', at('ds/vm/b.vmdk'));
    makeFifo(at('ds/vm/c.vmdk'));
    fs.mkdirSync(at('ds/vm/d.vmdk'));
    disk({ parentCid: '1', extents: ['RW 8 FLAT "flat.vmdk" 0'] });
    expect(await refusal(at(DISK), options)).toMatchObject({ code: 'parent-missing' });
    expectInside(recording, at('ds/vm'));
  });
});

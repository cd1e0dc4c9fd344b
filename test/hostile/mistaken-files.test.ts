// Sections A.4 and A.5 of the attack list: files taken for what they are not. First bytes that lie, renamed files, texts
// inside files, and leaves whose extents are somebody else's: nothing is written but the leaf's own files.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { craftCowd, craftMonolithic, marked, SECTOR, text, type Text } from '../support/craft.ts';
import { bounded, expectSame, failureOf, readAll, refusal } from '../support/hostile.ts';
import { expectAllClosed, expectInside, recordStore, type Recording } from '../support/recording-store.ts';

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

describe('what the first bytes of a file say', () => {
  it('counts for nothing in a flat extent: KDMV, COWD, QCOW2 and descriptors are data there', async () => {
    const beginnings = [
      craftMonolithic({ capacity: 64, grains: { 0: Buffer.from(SECRET) } }).bytes,
      craftCowd({ capacity: 64 }).bytes,
      Buffer.from('QFI\u00fb', 'latin1'),
      Buffer.from([0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0]),
      Buffer.from(text({ extents: ['RW 8 FLAT "../../secret" 0'] })),
    ];
    for (const first of beginnings) {
      const content = Buffer.concat([first, Buffer.alloc(8 * SECTOR)]).subarray(0, 8 * SECTOR);
      write('ds/vm/flat.vmdk', content);
      disk({ extents: ['RW 8 FLAT "flat.vmdk" 0'] });
      expectSame(await readAll(at(DISK), options), content);
    }
    expectInside(recording, at('ds/vm'));
  });

  it('of a raw upload that is a descriptor make it one: it leads no further than any other', async () => {
    write('ds/vm/upload.raw', text({ extents: ['RW 8 FLAT "/etc/passwd" 0'] }));
    expect(await refusal(at('ds/vm/upload.raw'), options)).toMatchObject({ code: 'outside-allowed-folders' });
    expect(recording.opened).toEqual([at('ds/vm/upload.raw')]);
  });
});

describe('a monolithicSparse that was renamed', () => {
  const own = { 0: marked('own', 0, 8) };
  const neighbour = { 0: marked('neighbour', 0, 8) };

  it('reads itself, not the neighbour that has its old name', async () => {
    write('ds/vm/new.vmdk', craftMonolithic({ capacity: 8, grains: own }, {}, 'old.vmdk').bytes);
    write('ds/vm/old.vmdk', craftMonolithic({ capacity: 8, grains: neighbour }, {}, 'old.vmdk').bytes);
    expectSame(await readAll(at('ds/vm/new.vmdk'), options), own[0]);
    expect(new Set(recording.opened)).toEqual(new Set([at('ds/vm/new.vmdk')]));
  });

  it('is written in itself, not in the neighbour', async () => {
    write('ds/vm/new.vmdk', craftMonolithic({ capacity: 8, grains: own }, {}, 'old.vmdk').bytes);
    write('ds/vm/old.vmdk', craftMonolithic({ capacity: 8, grains: neighbour }, {}, 'old.vmdk').bytes);
    const before = fs.readFileSync(at('ds/vm/old.vmdk'));
    const chain = await openChain(at('ds/vm/new.vmdk'), 'update', options);
    await chain.write(0 as never, marked('written', 0, 1));
    await chain.close();
    expect(fs.readFileSync(at('ds/vm/old.vmdk')).equals(before)).toBe(true);
    expectSame((await readAll(at('ds/vm/new.vmdk'), options)).subarray(0, SECTOR), marked('written', 0, 1));
  });

  it('reads itself whatever absolute path or address its line names', async () => {
    for (const name of ['/etc/passwd', '../../secret', 'C:\\VMs\\old.vmdk', '']) {
      write('ds/vm/new.vmdk', craftMonolithic({ capacity: 8, grains: own }, {}, name).bytes);
      expectSame(await readAll(at('ds/vm/new.vmdk'), options), own[0]);
    }
    expectInside(recording, at('ds/vm'));
  });
});

describe('a descriptor inside a sparse file', () => {
  it('that says its first extent is flat is refused when the file has grains of its own', async () => {
    const { bytes } = craftMonolithic(
      { capacity: 8, grains: { 0: marked('g', 0, 8) } },
      { extents: ['RW 8 FLAT "flat.vmdk" 0'] },
    );
    write(DISK, bytes);
    for (const mode of ['read', 'update'] as const) {
      const error = await failureOf(openChain(at(DISK), mode as 'read', options));
      expect(error).toMatchObject({ kind: 'corrupt', code: 'extent-type-mismatch' });
    }
    expectAllClosed(recording);
  });

  it('of a file without grains may name flat extents: they are read, not the file itself', async () => {
    const { bytes } = craftMonolithic(
      { capacity: 8, fields: { capacity: 0 } },
      { extents: ['RW 8 FLAT "flat.vmdk" 0'] },
    );
    write(DISK, bytes);
    expectSame(await readAll(at(DISK), options), marked('f', 0, 8));
    expect(await failureOf(openChain(at(DISK), 'update', options))).toMatchObject({
      code: 'read-only-format',
    });
    write(
      DISK,
      craftMonolithic({ capacity: 8, fields: { capacity: 0 } }, { extents: ['RW 8 FLAT "../../secret" 0'] })
        .bytes,
    );
    expect(await refusal(at(DISK), options)).toMatchObject({ code: 'outside-allowed-folders' });
    expectInside(recording, at('ds/vm'));
  });

  it('whose first extent is not there or not to be read leaves nothing open', async () => {
    for (const line of ['NOACCESS 8 SPARSE "disk.vmdk"', 'RW 8 ZERO']) {
      const capacity = line.startsWith('RW') ? 0 : 8;
      write(DISK, craftMonolithic({ capacity: 8, fields: { capacity } }, { extents: [line] }).bytes);
      expectSame(await readAll(at(DISK), { ...options, noAccess: 'zeros' }), Buffer.alloc(8 * SECTOR));
      expectAllClosed(recording);
    }
  });
});

describe('a leaf opened for writing', () => {
  const before = (name: string): Buffer => fs.readFileSync(at(name));

  it('never touches a host file, not even to find out that it must not', async () => {
    for (const name of ['/etc/passwd', '../../secret', '/dev/sda']) {
      disk({ extents: [`RW 1 FLAT "${name}" 0`] });
      await bounded(() => failureOf(openChain(at(DISK), 'update', options)));
    }
    expect(recording.opened).toEqual([at(DISK), at(DISK), at(DISK)]);
    expectAllClosed(recording);
  });

  it('is refused when an extent is its own descriptor, its parent, or part of it', async () => {
    write('ds/vm/base.vmdk', text({ cid: 'aa', extents: ['RW 8 FLAT "flat.vmdk" 0'] }));
    fs.linkSync(at('ds/vm/flat.vmdk'), at('ds/vm/hard.vmdk'));
    fs.symlinkSync('flat.vmdk', at('ds/vm/soft.vmdk'));
    const delta = { parentCid: 'aa', hint: 'base.vmdk' };
    for (const name of ['flat.vmdk', 'hard.vmdk', 'soft.vmdk', 'base.vmdk', 'disk.vmdk']) {
      disk({ ...delta, extents: [`RW 8 FLAT "${name}" 0`], ddb: ['#'.repeat(9 * SECTOR)] });
      write(
        'ds/vm/base.vmdk',
        `${text({ cid: 'aa', extents: ['RW 8 FLAT "flat.vmdk" 0'] })}${'#'.repeat(9 * SECTOR)}\n`,
      );
      const files = ['ds/vm/flat.vmdk', 'ds/vm/base.vmdk', DISK];
      const contents = files.map(before);
      const error = await failureOf(openChain(at(DISK), 'update', options));
      expect(error, name).toMatchObject({
        kind: 'refused',
        code: 'extent-shared',
        context: { path: at(DISK) },
      });
      expect(files.map(before)).toEqual(contents);
    }
    expectAllClosed(recording);
  });

  it('is refused when two of its lines write one part of one file', async () => {
    for (const second of ['RW 4 FLAT "flat.vmdk" 3', 'RDONLY 4 FLAT "./flat.vmdk" 0']) {
      disk({ extents: ['RW 4 FLAT "flat.vmdk" 0', second] });
      expect(await failureOf(openChain(at(DISK), 'update', options)), second).toMatchObject({
        code: 'extent-shared',
      });
    }
    disk({ extents: ['RW 4 FLAT "flat.vmdk" 0', 'RW 4 FLAT "flat.vmdk" 4'] });
    const chain = await openChain(at(DISK), 'update', options);
    await chain.write(3 as never, marked('w', 3, 2));
    await chain.close();
    expectSame(
      before('ds/vm/flat.vmdk'),
      Buffer.concat([marked('f', 0, 3), marked('w', 3, 2), marked('f', 5, 3)]),
    );
    expectAllClosed(recording);
  });
});

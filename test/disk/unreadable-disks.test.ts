// Disks whose contents are not in their files, extents without their descriptor, and disks that must not be written: each
// is told apart, explained, and never read as zeros.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import {
  craftCowd,
  craftMonolithic,
  craftSeSparse,
  craftSparse,
  marked,
  SECTOR,
  storeOf,
  text,
  type Text,
} from '../support/craft.ts';
import { craftStream } from '../support/craft-stream.ts';
import { bounded, expectSame, failureOf, readAll } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const DISK = '/vm/disk.vmdk';
type Files = Record<string, Buffer | string>;

async function failure(files: Files, mode: 'read' | 'update' = 'read', path = DISK) {
  const recording = recordStore(storeOf(files));
  const error = await bounded(() => failureOf(openChain(path, mode as 'read', { fs: recording.store })));
  expectAllClosed(recording);
  return { error, recording };
}

describe('a disk whose contents are elsewhere', () => {
  const KINDS: [what: string, code: string, fields: Text][] = [
    [
      'a raw device mapping',
      'raw-device-mapping',
      { createType: 'vmfsRawDeviceMap', extents: ['RW 8 VMFSRDM "d-rdm.vmdk"'] },
    ],
    [
      'a physical mapping',
      'raw-device-mapping',
      { createType: 'vmfsPassthroughRawDeviceMap', extents: ['RW 8 VMFSRDM "d-rdmp.vmdk"'] },
    ],
    ['a vSAN object', 'vsan-object', { createType: 'vmfs', extents: ['RW 8 VMFS "vsan://5a1b2c3d"'] }],
    [
      'a vSAN delta',
      'descriptor-version',
      { version: '4', createType: 'vsanSparse', extents: ['RW 8 VSANSPARSE "vsan://5a1b2c3d"'] },
    ],
    [
      'a vSAN delta of version 1',
      'vsan-object',
      { createType: 'vsanSparse', extents: ['RW 8 VSANSPARSE "d-rdm.vmdk"'] },
    ],
    ['a VVol', 'vvol-object', { createType: 'vmfs', extents: ['RW 8 VMFS "vvol://x/y"'] }],
    [
      'a raw device of ESX',
      'raw-device',
      { createType: 'vmfsRaw', extents: ['RW 8 VMFSRAW "/vmfs/devices/disks/naa.1"'] },
    ],
    ['a device of Linux', 'raw-device', { createType: 'fullDevice', extents: ['RW 8 FLAT "/dev/sda" 0'] }],
    [
      'a device of Windows',
      'raw-device',
      { createType: 'fullDevice', extents: ['RW 8 FLAT "\\\\.\\PhysicalDrive0" 0'] },
    ],
    [
      'a partition of Windows',
      'raw-device',
      { createType: 'partitionedDevice', extents: ['RW 8 FLAT "\\\\.\\PhysicalDrive0" 63 0000-1111 dev'] },
    ],
    ['an address', 'not-a-file', { extents: ['RW 8 FLAT "https://host/d.vmdk" 0'] }],
    [
      'an encrypted disk of ESXi',
      'encrypted-disk',
      { header: ['keyID="x"', 'encryptionKeys="vmware:key/list/"'], extents: ['RW 8 VMFS "d-flat.vmdk"'] },
    ],
    [
      'an encrypted disk of Workstation',
      'encrypted-disk',
      { header: ['encryption.keySafe="x"'], extents: ['RW 8 FLAT "d-flat.vmdk" 0'] },
    ],
    [
      'a disk behind the encryption filter',
      'encrypted-disk',
      { ddb: ['ddb.iofilters = "vmwarevmcrypt"'], extents: ['RW 8 VMFS "d-flat.vmdk"'] },
    ],
    [
      'a native snapshot',
      'native-snapshot',
      { header: ['isNativeSnapshot="yes"'], extents: ['RW 8 VMFS "d-flat.vmdk"'] },
    ],
    [
      'a native clone',
      'native-snapshot',
      { ddb: ['ddb.nativeParentHint = "x"'], extents: ['RW 8 VMFS "d-flat.vmdk"'] },
    ],
  ];
  const files = {
    '/vm/d-rdm.vmdk': Buffer.alloc(8 * SECTOR),
    '/vm/d-rdmp.vmdk': Buffer.alloc(8 * SECTOR),
    '/vm/d-flat.vmdk': Buffer.alloc(8 * SECTOR),
  };

  it.each(KINDS)(
    '(%s) is explained with code and hint, and only its descriptor is opened',
    async (_, code, fields) => {
      for (const mode of ['read', 'update'] as const) {
        const { error, recording } = await failure({ ...files, [DISK]: text(fields) }, mode);
        expect(error).toMatchObject({ kind: 'unsupported', code, context: { path: DISK } });
        expect(error.context.hint!.length).toBeGreaterThan(20);
        expect(recording.opened).toEqual([DISK]);
      }
    },
  );

  it.each(KINDS)('(%s) is explained as the base of a delta as well', async (_, code, fields) => {
    const delta = craftMonolithic({ capacity: 8 }, { parentCid: 'b', hint: 'base.vmdk' }).bytes;
    const { error } = await failure({
      ...files,
      [DISK]: delta,
      '/vm/base.vmdk': text({ cid: 'b', ...fields }),
    });
    expect(error).toMatchObject({ code, context: { path: '/vm/base.vmdk' } });
  });

  it('is no other disk: a device type over ordinary files is read', async () => {
    const flat = marked('f', 0, 8);
    const fs = storeOf({
      [DISK]: text({ createType: 'fullDevice', extents: ['RW 8 FLAT "f.vmdk" 0'] }),
      '/vm/f.vmdk': flat,
    });
    expectSame(await readAll(DISK, { fs }), flat);
  });
});

describe('an extent without its descriptor', () => {
  const BARE: [name: string, owner: string, bytes: Buffer, type: string][] = [
    ['d-000001-delta.vmdk', 'd-000001.vmdk', craftCowd({ capacity: 8 }).bytes, 'VMFSSPARSE'],
    ['d-000001-sesparse.vmdk', 'd-000001.vmdk', craftSeSparse({ capacity: 8 }).bytes, 'SESPARSE'],
    ['d-flat.vmdk', 'd.vmdk', marked('raw', 0, 8), 'VMFS'],
    ['d-f001.vmdk', 'd.vmdk', marked('raw', 0, 8), 'FLAT'],
    ['d-s001.vmdk', 'd.vmdk', craftSparse({ capacity: 8 }).bytes, 'SPARSE'],
    ['d-s0012.vmdk', 'd.vmdk', craftSparse({ capacity: 8, descriptor: '\0' }).bytes, 'SPARSE'],
  ];

  it.each(BARE)('(%s) names the descriptor it belongs to', async (name, owner, bytes, type) => {
    const files = { [`/vm/${name}`]: bytes, [`/vm/${owner}`]: text({ extents: [`RW 8 ${type} "${name}"`] }) };
    for (const mode of ['read', 'update'] as const) {
      const { error } = await failure(files, mode, `/vm/${name}`);
      expect(error).toMatchObject({
        kind: 'unsupported',
        code: 'bare-extent',
        context: { path: `/vm/${name}`, hint: `Open its descriptor instead: /vm/${owner}` },
      });
    }
  });

  it.each(BARE)('(%s) is no disk of its own either when there is none', async (name, _, bytes, type) => {
    const { error } = await failure({ [`/vm/${name}`]: bytes }, 'read', `/vm/${name}`);
    expect(error).toMatchObject({ context: { path: `/vm/${name}` } });
    const raw = type === 'FLAT' || type === 'VMFS';
    expect(error.code).toBe(raw ? 'not-a-vmdk' : 'bare-extent');
  });

  it('says when the descriptor beside it names other files', async () => {
    const [name, owner, bytes] = BARE[0]!;
    const files = {
      [`/vm/${name}`]: bytes,
      [`/vm/${owner}`]: text({ extents: ['RW 8 VMFSSPARSE "other.vmdk"'] }),
    };
    const { error } = await failure(files, 'read', `/vm/${name}`);
    expect(error.message).toContain(`tried /vm/${owner}: names other files`);
    expect(error.message).toContain('none was found beside it');
  });

  it('that is a change tracking file is told apart', async () => {
    const { error } = await failure(
      { '/vm/d-ctk.vmdk': Buffer.from('a27219f600000000', 'hex') },
      'read',
      '/vm/d-ctk.vmdk',
    );
    expect(error).toMatchObject({ code: 'bare-extent' });
    expect(error.message).toContain('change tracking');
  });

  it('is told apart from what is no disk at all', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(10_480), Buffer.from('hello'), marked('raw', 0, 8)]) {
      const { error } = await failure({ [DISK]: bytes });
      expect(error).toMatchObject({ kind: 'corrupt', code: 'not-a-vmdk', context: { path: DISK } });
    }
  });
});

describe('a disk opened for update', () => {
  const refused = { kind: 'refused', code: 'read-only-format' };
  const seSparse = craftSeSparse({ capacity: 8, grains: { 0: marked('e', 0, 8) } }).bytes;
  const stream = craftStream({ capacity: 128, grains: [[0, marked('s', 0, 128)]] }).bytes;

  it('that is seSparse is refused at the door with the reason, whatever its createType says', async () => {
    for (const createType of ['seSparse', 'vmfsSeSparse', 'SESPARSE', 'custom', 'vmfsSparse']) {
      for (const type of ['SESPARSE', 'SPARSE']) {
        const { error, recording } = await failure(
          { [DISK]: text({ createType, extents: [`RW 8 ${type} "x.vmdk"`] }), '/vm/x.vmdk': seSparse },
          'update',
        );
        expect(error, createType).toMatchObject(refused);
        expect(error.message).toContain('seSparse');
        expect(error.context.hint).toContain('delta');
        expect(recording.bytesRead).toBeLessThan(1 << 20);
      }
    }
  });

  it('that is streamOptimized is refused at the door with the reason, whatever its createType says', async () => {
    for (const createType of ['streamOptimized', 'STREAMOPTIMIZED', 'monolithicSparse', 'custom']) {
      const { bytes } = craftStream({ capacity: 128, descriptor: { createType } });
      const { error } = await failure({ [DISK]: bytes }, 'update');
      expect(error, createType).toMatchObject(refused);
      expect(error.message).toContain('streamOptimized');
    }
    const extents = ['RW 128 SPARSE "x.vmdk"'];
    expect(
      (await failure({ [DISK]: text({ extents }), '/vm/x.vmdk': stream }, 'update')).error,
    ).toMatchObject(refused);
  });

  it('may stand on either: they are only read, and stay as they are', async () => {
    const files = {
      [DISK]: craftMonolithic({ capacity: 8 }, { parentCid: 'b', hint: 'b.vmdk' }).bytes,
      '/vm/b.vmdk': text({ cid: 'b', extents: ['RW 8 SESPARSE "x.vmdk"'] }),
      '/vm/x.vmdk': seSparse,
    };
    const recording = recordStore(storeOf(files));
    const chain = await openChain(DISK, 'update', { fs: recording.store });
    await chain.write(2 as never, marked('w', 2, 1));
    await chain.close();
    expect(new Set(recording.changed)).toEqual(new Set([DISK]));
    expectSame(
      await readAll(DISK, { fs: recording.store }),
      Buffer.concat([marked('e', 0, 2), marked('w', 2, 1), marked('e', 3, 5)]),
    );
  });
});

describe('a disk with change tracking', () => {
  const tracked = text({
    version: '3',
    cid: 'aabbccdd',
    extents: ['RW 8 FLAT "f.vmdk" 0', '# Change Tracking File', 'changeTrackPath="disk-ctk.vmdk"'],
  });
  const files = () => storeOf({ [DISK]: tracked, '/vm/f.vmdk': marked('f', 0, 8) });

  it('is read', async () => {
    expectSame(await readAll(DISK, { fs: files() }), marked('f', 0, 8));
  });

  it('is refused for update, with the way out', async () => {
    const { error } = await failure({ [DISK]: tracked, '/vm/f.vmdk': marked('f', 0, 8) }, 'update');
    expect(error).toMatchObject({
      kind: 'refused',
      code: 'change-tracking',
      context: { path: DISK, field: 'changeTrackPath', found: 'disk-ctk.vmdk' },
    });
    expect(error.message).toContain('--drop-change-tracking');
  });

  it('is written when told to drop it: the line goes with the first write, and not before', async () => {
    const fs = files();
    const textNow = async (): Promise<string> => {
      const file = await fs.open(DISK, 'read');
      const bytes = Buffer.alloc(await file.size());
      await file.readExactly(bytes, 0);
      await file.close();
      return bytes.toString();
    };
    const untouched = await openChain(DISK, 'update', { fs, dropChangeTracking: true });
    await untouched.close();
    expect(await textNow()).toBe(tracked);
    const chain = await openChain(DISK, 'update', { fs, dropChangeTracking: true });
    await chain.write(0 as never, marked('w', 0, 1));
    await chain.close();
    expect(await textNow()).not.toContain('changeTrackPath');
    expect(await textNow()).toContain('version=1\n');
    expect(await textNow()).not.toContain('CID=aabbccdd\n');
    expectSame(await readAll(DISK, { fs }), Buffer.concat([marked('w', 0, 1), marked('f', 1, 7)]));
  });
});

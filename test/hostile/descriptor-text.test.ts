// Section E of the attack list, at the door: descriptors opened as disks. What the text alone does to the parser is shown
// in test/format; here it must not open, allocate or wait for anything because of it.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { craftMonolithic, craftSparse, marked, SECTOR, storeOf, text } from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll, refusal } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const DISK = '/vm/disk.vmdk';
const flat = marked('f', 0, 8);
const LINE = 'RW 8 FLAT "f.vmdk" 0';
const sound = text({ extents: [LINE] });
const fsOf = (content: string | Buffer) => storeOf({ [DISK]: content, '/vm/f.vmdk': flat });

describe('a descriptor', () => {
  const READ: [what: string, content: string | Buffer][] = [
    ['with CRLF', sound.replaceAll('\n', '\r\n')],
    ['with line ends mixed', sound.replace('\n', '\r\n')],
    ['with carriage returns alone', sound.replaceAll('\n', '\r')],
    ['with a byte order mark', `\ufeff${sound}`],
    ['without a last line end', `${text({ extents: [] }).trimEnd()}\n${LINE}`],
    ['with blanks at line ends', sound.replaceAll('\n', ' \t\n')],
    ['with a NUL tail', Buffer.concat([Buffer.from(sound), Buffer.alloc(4000)])],
    [
      'with a NUL tail of a gibibyte less a bit',
      Buffer.concat([Buffer.from(sound), Buffer.alloc(900 << 10)]),
    ],
    ['with bytes of another file behind a NUL', Buffer.from(`${sound}\0RW 8 FLAT "/etc/passwd" 0\n`)],
    ['with createType in capitals', sound.replace('custom', 'MONOLITHICFLAT')],
    ['with an unknown createType', sound.replace('custom', 'somethingNew')],
    ['with unknown keys', sound.replace('# Extent', 'new="1"\nother=2\n# Extent')],
    ['with keys in capitals', sound.replace('parentCID', 'PARENTCID').replace('version', 'VERSION')],
    ['with the same key twice, alike', sound.replace('version=1', 'version=1\nCID=12345678')],
    ['with a comment that lost its #', sound.replace('# The Disk', 'The Disk')],
    ['of version 2', sound.replace('version=1', 'version=2')],
    ['of version 3', sound.replace('version=1', 'version=3')],
    ['in Windows-1252 that is not declared', Buffer.from(sound.replace('#DDB', '# \u00e9'), 'latin1')],
    [
      'whose first comment is another',
      sound.replace('# Disk DescriptorFile', '# made by a stream converter'),
    ],
  ];

  it.each(READ)('%s is read', async (_, content) => {
    const recording = recordStore(fsOf(content));
    expectSame(await bounded(() => readAll(DISK, { fs: recording.store })), flat);
    expect(new Set(recording.opened)).toEqual(new Set([DISK, '/vm/f.vmdk']));
    expectAllClosed(recording);
  });

  const lines = (count: number, line = 'RW 1 ZERO'): string =>
    `${text({ extents: [] })}${`${line}\n`.repeat(count)}`;
  const extent = (line: string): string => text({ extents: [line] });
  const REFUSED: [what: string, content: string | Buffer, code: string][] = [
    ['over 1 MiB', `${sound}${'#'.repeat(1 << 20)}`, 'descriptor-too-large'],
    ['of 100,000 extents', lines(100_000), 'descriptor-too-large'],
    ['without an extent', text({}), 'desc-no-extents'],
    ['of no sectors', extent('RW 0 FLAT "f.vmdk" 0'), 'desc-disk-empty'],
    ['with -1 sectors', extent('RW -1 FLAT "f.vmdk" 0'), 'desc-extent-size'],
    ['with 2^63 sectors', extent('RW 9223372036854775808 ZERO'), 'desc-extent-size'],
    ['with sectors in hex', extent('RW 0x10 FLAT "f.vmdk" 0'), 'desc-extent-size'],
    [
      'whose sectors add up to too much',
      extent('RW 17592186044415 ZERO\nRW 17592186044415 ZERO'),
      'desc-disk-too-large',
    ],
    ['with an offset of -1', extent('RW 1 FLAT "f.vmdk" -1'), 'desc-extent-malformed'],
    ['with an offset of 2^64', extent('RW 1 FLAT "f.vmdk" 18446744073709551616'), 'desc-extent-offset'],
    ['with an unknown type of extent', extent('RW 8 QCOW2 "f.vmdk"'), 'desc-extent-type'],
    ['with an extent that names no file', extent('RW 8 FLAT'), 'desc-extent-name-missing'],
    ['with an access that is none', extent('RX 8 FLAT "f.vmdk" 0'), 'desc-extent-malformed'],
    ['with a quote that is not closed', extent('RW 8 FLAT "f.vmdk'), 'desc-unbalanced-quote'],
    ['with doubled quotes', extent('RW 8 FLAT ""f.vmdk"" 0'), 'desc-doubled-quotes'],
    ['with another CID', sound.replace('version=1', 'version=1\nCID=1'), 'desc-conflicting-key'],
    [
      'with another createType',
      sound.replace('version=1', 'version=1\ncreateType="vmfs"'),
      'desc-conflicting-key',
    ],
    [
      'with another parent hint',
      text({ parentCid: '1', hint: 'a', header: ['parentFileNameHint="b"'], extents: [LINE] }),
      'desc-conflicting-key',
    ],
    ['with CID=IDHERE', sound.replace('12345678', 'IDHERE'), 'desc-bad-cid'],
    ['with a CID of ten digits', sound.replace('12345678', '4294967295'), 'desc-bad-cid'],
    ['without a CID', sound.replace('CID=12345678\n', ''), 'desc-cid-missing'],
    ['without a parentCID', sound.replace('parentCID=ffffffff\n', ''), 'desc-parent-cid-missing'],
    ['without a createType', sound.replace('createType="custom"\n', ''), 'desc-create-type-missing'],
    ['with a hint and no parent', text({ hint: 'p.vmdk', extents: [LINE] }), 'desc-hint-without-parent'],
    ['of version 0', sound.replace('version=1', 'version=0'), 'desc-version'],
    ['of version 5', sound.replace('version=1', 'version=5'), 'descriptor-version'],
    ['of version 1e3', sound.replace('version=1', 'version=1e3'), 'desc-version'],
    ['that is nothing but comments', '# Disk DescriptorFile\n'.repeat(1000), 'not-a-vmdk'],
  ];

  it.each(REFUSED)(
    '%s is refused, naming file, line, found and expected, and opens nothing else',
    async (_, content, code) => {
      const recording = recordStore(fsOf(content));
      const error = await refusal(DISK, { fs: recording.store });
      expect(error).toMatchObject({ code, context: { path: DISK } });
      expect(error.message.length).toBeLessThan(1500);
      expect(recording.opened).toEqual([DISK]);
      expectAllClosed(recording);
    },
  );

  it('that is a hole of a tebibyte is refused at once', async () => {
    const fs = fsOf('version=1\n');
    const file = await fs.open(DISK, 'update');
    await file.resize(2 ** 40);
    await file.close();
    expect(await refusal(DISK, { fs })).toMatchObject({ kind: 'corrupt' });
    const sparse = craftMonolithic({ capacity: 8 }).bytes;
    const embedded = storeOf({ [DISK]: sparse });
    const large = await embedded.open(DISK, 'update');
    await large.resize(2 ** 40);
    await large.close();
    expectSame(await bounded(() => readAll(DISK, { fs: embedded })), Buffer.alloc(8 * SECTOR));
  });
});

describe('a descriptor of very many extents', () => {
  const many = (count: number, line: string): string =>
    text({ extents: Array.from({ length: count }, () => line) });

  it('of none in files is read', async () => {
    const fs = fsOf(many(60_000, 'RW 1 ZERO'));
    await bounded(async () => {
      const chain = await openChain(DISK, 'read', { fs });
      expect(chain.capacity).toBe(60_000);
      expectSame(await contentOf(chain, 100), Buffer.alloc(100 * SECTOR));
      await chain.close();
    });
  });

  it('in files is refused before one of them is opened', async () => {
    for (const line of [LINE, 'RW 8 SPARSE "s.vmdk"', 'RDONLY 8 FLAT "/etc/passwd" 0']) {
      for (const mode of ['read', 'update'] as const) {
        const recording = recordStore(fsOf(many(10_000, line)));
        const error = await bounded(() =>
          failureOf(openChain(DISK, mode as 'read', { fs: recording.store })),
        );
        expect(error).toMatchObject({
          code: 'too-many-extents',
          context: { found: '10000 extents in files' },
        });
        expect(recording.opened).toEqual([DISK]);
        expectAllClosed(recording);
      }
    }
  });

  it('of which one is missing leaves none open', async () => {
    const extents = [...Array.from({ length: 500 }, () => LINE), 'RW 8 FLAT "gone.vmdk" 0'];
    const recording = recordStore(fsOf(text({ extents })));
    expect(await bounded(() => failureOf(openDisk(DISK, { fs: recording.store })))).toMatchObject({
      code: 'extent-missing',
    });
    expectAllClosed(recording);
  });

  it('as many as VMware splits a disk into is read', async () => {
    const extents = Array.from(
      { length: 4096 },
      (_, at) => `RW 8 ${at % 2 === 0 ? 'FLAT "f.vmdk" 0' : 'SPARSE "s.vmdk"'}`,
    );
    const s = craftSparse({ capacity: 8, grains: { 0: marked('s', 0, 8) } }).bytes;
    const recording = recordStore(
      storeOf({ [DISK]: text({ extents }), '/vm/f.vmdk': flat, '/vm/s.vmdk': s }),
    );
    await bounded(async () => {
      const chain = await openChain(DISK, 'read', { fs: recording.store });
      expectSame(
        await contentOf(chain, 32),
        Buffer.concat([flat, marked('s', 0, 8), flat, marked('s', 0, 8)]),
      );
      await chain.close();
    });
    expectAllClosed(recording);
  });
});

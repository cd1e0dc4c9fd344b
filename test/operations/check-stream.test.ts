// streamOptimized extents under `check`: footer, markers, grains, what stands between; each kind of damage gives its
// own finding and no other.
import { describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { encodeSparseHeader, SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { Marker } from '../../src/format/stream-marker.ts';
import { findingsOf, reportOf, storedGrain, streamImage, type StreamImage } from './check-images.ts';

const GRAIN_BYTES = 65536;

async function afterDamage(
  damage: (image: StreamImage) => Buffer | void,
  options: { deep?: boolean; grains?: readonly number[] } = {},
): Promise<string[]> {
  const image = streamImage(options.grains);
  return findingsOf({ '/vm/disk.vmdk': damage(image) ?? image.bytes }, { deep: options.deep ?? false });
}

/** Puts sectors into a stream before its grain directory's marker, and moves what points behind them. */
function insert(image: StreamImage, data: Buffer): Buffer {
  const at = (image.directory - 1) * SECTOR_BYTES;
  const sectors = Math.ceil(data.length / SECTOR_BYTES);
  const padded = Buffer.alloc(sectors * SECTOR_BYTES);
  padded.set(data);
  const bytes = Buffer.concat([image.bytes.subarray(0, at), padded, image.bytes.subarray(at)]);
  const footer = encodeSparseHeader({ ...image.header, gdOffset: image.directory + sectors });
  bytes.set(footer, bytes.length - 2 * SECTOR_BYTES);
  return bytes;
}

it.each([false, true])('a sound stream has no findings (deep: %s)', async (deep) => {
  const { bytes } = streamImage();
  const report = await reportOf({ '/vm/disk.vmdk': bytes }, { deep });
  expect(report).toMatchObject({
    verdict: 'sound',
    problems: [],
    'total-clusters': 1100,
    'allocated-clusters': 4,
    'compressed-clusters': 4,
    'image-end-offset': bytes.length,
  });
});

it('a stream with its directory in front has none either, with an end mark and with padding', async () => {
  const grain = storedGrain(1);
  const header = { ...streamImage([]).header, capacity: 128 * 4, gdOffset: 21, overHead: 128 };
  const bytes = Buffer.alloc(129 * SECTOR_BYTES + Math.ceil(grain.length / 512) * SECTOR_BYTES);
  streamImage([]).bytes.copy(bytes, 0, 0, 21 * SECTOR_BYTES);
  bytes.set(encodeSparseHeader(header));
  bytes.set(
    Buffer.from(bytes.toString('latin1').replace('140800', '512'), 'latin1').subarray(512, 21 * 512),
    512,
  );
  bytes.writeUInt32LE(22, 21 * SECTOR_BYTES);
  bytes.writeUInt32LE(128, 22 * SECTOR_BYTES + 4);
  bytes.set(grain, 128 * SECTOR_BYTES);
  expect(await findingsOf({ '/vm/disk.vmdk': bytes }, { deep: true })).toEqual([]);
  const more = Buffer.concat([bytes, Buffer.alloc(GRAIN_BYTES - SECTOR_BYTES)]);
  expect(await findingsOf({ '/vm/disk.vmdk': more })).toEqual([]);
  const ragged = Buffer.concat([bytes, Buffer.alloc(100)]);
  expect(await findingsOf({ '/vm/disk.vmdk': ragged })).toEqual(['warning TAIL']);
});

describe('the header of a stream', () => {
  const at = (field: Parameters<typeof SparseExtentHeader.offsetOf>[0]): number =>
    SparseExtentHeader.offsetOf(field);
  it.each<[string, (image: StreamImage) => void, string]>([
    ['that was never finished', ({ bytes }) => void bytes.write('kdmv'), 'error HDR-MAGIC'],
    ['of an unknown version', ({ bytes }) => void bytes.writeUInt32LE(9, at('version')), 'error HDR-VERSION'],
    ['with unknown flags', ({ bytes }) => void bytes.writeUInt8(0x83, at('flags') + 3), 'error HDR-FLAGS'],
    ['of impossible grains', ({ bytes }) => void bytes.writeUInt32LE(7, at('grainSize')), 'error HDR-FIELD'],
    [
      'that a text-mode transfer went over',
      ({ bytes }) => void bytes.writeUInt8(0x0a, at('doubleEndLineChar1')),
      'error NEWLINE',
    ],
    [
      'with the mark of a crash',
      ({ bytes }) => void bytes.writeUInt8(1, at('uncleanShutdown')),
      'warning UNCLEAN',
    ],
  ])('%s is found', async (_, damage, finding) => {
    expect(await afterDamage(damage)).toContain(finding);
  });

  it('of another size than the descriptor says is found', async () => {
    const damage = ({ bytes }: StreamImage): void =>
      bytes.set(Buffer.from(bytes.toString('latin1').replace('RW 140800', 'RW 140000'), 'latin1'));
    expect(await afterDamage(damage)).toEqual(['error CAP']);
  });
});

describe('a grain', () => {
  it('with the marker of another is found', async () => {
    const found = await afterDamage(({ bytes, sectorOf }) => {
      bytes.writeUInt32LE(128 * 9, sectorOf(3) * SECTOR_BYTES);
    });
    expect(found).toEqual(['error GRAIN-LBA']);
  });

  it('that two entries lead to is found by its marker', async () => {
    const found = await afterDamage(({ bytes, sectorOf, entryAt }) => {
      bytes.writeUInt32LE(sectorOf(0), entryAt(3));
    });
    expect(found).toEqual(['error GRAIN-LBA']);
  });

  it('that stands in the stream twice is found', async () => {
    expect(await afterDamage((image) => insert(image, storedGrain(3)))).toEqual(['error GRAIN-LBA']);
  });

  it('that no table refers to is lost space', async () => {
    expect(await afterDamage((image) => insert(image, storedGrain(4)))).toEqual(['warning LEAK']);
  });

  it.each([0, 0x7fffffff])('of an impossible length (%i) is found', async (size) => {
    const found = await afterDamage(({ bytes, sectorOf }) => {
      bytes.writeUInt32LE(size, sectorOf(3) * SECTOR_BYTES + 8);
    });
    expect(found).toEqual(['error GRAIN-ZLIB']);
  });

  it('that is no zlib stream is found without inflating', async () => {
    const damage = ({ bytes, sectorOf }: StreamImage): void => {
      bytes.writeUInt16LE(0, sectorOf(3) * SECTOR_BYTES + 12);
    };
    expect(await afterDamage(damage)).toEqual(['error GRAIN-ZLIB']);
    expect(await afterDamage(damage, { deep: true })).toEqual(['error GRAIN-ZLIB']);
  });

  it.each<[string, (stored: Buffer) => Buffer]>([
    ['a wrong checksum', (stored) => (stored.writeUInt8(stored.at(-1)! ^ 1, stored.length - 1), stored)],
    ['more than a grain', () => storedGrain(515, Buffer.alloc(GRAIN_BYTES + 512))],
    ['less than a grain', () => storedGrain(515, Buffer.alloc(GRAIN_BYTES - 512))],
  ])('that inflates to %s is found when asked to go deep', async (_, change) => {
    const damage = ({ bytes, sectorOf }: StreamImage): void => {
      const start = sectorOf(515) * SECTOR_BYTES;
      const stored = change(storedGrain(515));
      bytes.fill(0, start, start + SECTOR_BYTES);
      bytes.set(stored, start);
    };
    expect(await afterDamage(damage)).toEqual([]);
    expect(await afterDamage(damage, { deep: true })).toEqual(['error GRAIN-ZLIB']);
  });

  it('whose entry leads outside the file is found', async () => {
    const damage =
      (entry: number) =>
      ({ bytes, entryAt }: StreamImage) =>
        void bytes.writeUInt32LE(entry, entryAt(3));
    expect(await afterDamage(damage(0x7fffffff))).toEqual(['error GTE-RANGE']);
    expect(await afterDamage(damage(3))).toEqual(['error GTE-RANGE']);
  });

  it('that its table calls zeros is against the rules of streams', async () => {
    expect(await afterDamage(({ bytes, entryAt }) => void bytes.writeUInt32LE(1, entryAt(2)))).toEqual([
      'error GTE1-FLAG',
    ]);
  });

  it('behind the last one of the disk is slack', async () => {
    const damage = ({ bytes, entryAt }: StreamImage) => void bytes.writeUInt32LE(99, entryAt(1100));
    expect(await afterDamage(damage, { grains: [0, 1030] })).toEqual(['warning SLACK']);
  });

  it('whose bytes reach into the next one is found', async () => {
    const damage = ({ bytes, sectorOf }: StreamImage) =>
      void bytes.writeUInt32LE((sectorOf(3) - sectorOf(0)) * SECTOR_BYTES, sectorOf(0) * SECTOR_BYTES + 8);
    expect(await afterDamage(damage)).toEqual(['error GRAIN-OVERLAP']);
  });

  it('before the one that precedes it is out of order', async () => {
    const found = await afterDamage((image) => {
      const { bytes, sectorOf, entryAt } = image;
      const [first, second] = [sectorOf(0), sectorOf(3)];
      const stored = Buffer.from(bytes.subarray(first * SECTOR_BYTES, second * SECTOR_BYTES));
      // Grains that compress to the same length change places.
      bytes.copyWithin(first * SECTOR_BYTES, second * SECTOR_BYTES, second * SECTOR_BYTES + stored.length);
      bytes.set(stored, second * SECTOR_BYTES);
      bytes.writeUInt32LE(second, entryAt(0));
      bytes.writeUInt32LE(first, entryAt(3));
    });
    expect(found).toEqual(['warning ORDER']);
  });
});

describe('directory and tables', () => {
  it('with wrong markers are found', async () => {
    expect(
      await afterDamage(({ bytes, tableOf }) => void bytes.writeUInt32LE(5, (tableOf(0) - 1) * SECTOR_BYTES)),
    ).toEqual(['error MARKER']);
    expect(
      await afterDamage(
        ({ bytes, directory }) => void bytes.writeUInt32LE(1, (directory - 1) * SECTOR_BYTES + 12),
      ),
    ).toEqual(['error MARKER']);
  });

  it('that lie outside or over one another are found', async () => {
    expect(
      await afterDamage(
        ({ bytes, directory }) => void bytes.writeUInt32LE(0x7fffffff, directory * SECTOR_BYTES),
      ),
    ).toEqual(['error GD-RANGE']);
    const found = await afterDamage(({ bytes, directory, tableOf }) => {
      bytes.writeUInt32LE(tableOf(0), directory * SECTOR_BYTES + 4);
    });
    expect(found).toEqual(['error GT-OVERLAP']);
  });

  it('that were given up are lost space, empty ones are not worth a word', async () => {
    const table = (fill: number): Buffer =>
      Buffer.concat([Marker.encode({ val: 4n, size: 0, type: 1 }), Buffer.alloc(2048, fill)]);
    expect(await afterDamage((image) => insert(image, table(7)))).toEqual(['warning LEAK']);
    expect(await afterDamage((image) => insert(image, table(0)))).toEqual([]);
  });
});

describe('between the grains', () => {
  it('progress markers are lawful, unknown ones are found', async () => {
    const marker = (type: number): Buffer => Marker.encode({ val: 0n, size: 0, type });
    expect(await afterDamage((image) => insert(image, marker(4)))).toEqual([]);
    expect(await afterDamage((image) => insert(image, marker(77)))).toEqual(['error MARKER']);
  });
});

describe('the end', () => {
  it('with bytes behind it is found', async () => {
    expect(await afterDamage(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(3, 1)]))).toEqual([
      'error TAIL',
    ]);
    expect(await afterDamage(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(5120)]))).toEqual([
      'error TAIL',
    ]);
  });

  it('without an end-of-stream marker is found', async () => {
    expect(await afterDamage(({ bytes }) => void bytes.writeUInt8(9, bytes.length - SECTOR_BYTES))).toEqual([
      'error FOOTER',
    ]);
  });

  it('with a footer that disagrees with the header is found', async () => {
    const footerAt = ({ bytes }: StreamImage): number => bytes.length - 2 * SECTOR_BYTES;
    const capacity = SparseExtentHeader.offsetOf('capacity');
    expect(
      await afterDamage((image) => void image.bytes.writeUInt32LE(128 * 1101, footerAt(image) + capacity)),
    ).toEqual(['error FOOTER']);
    const gd = SparseExtentHeader.offsetOf('gdOffset');
    expect(
      await afterDamage(
        (image) => void image.bytes.fill(0xff, footerAt(image) + gd, footerAt(image) + gd + 8),
      ),
    ).toEqual(['error FOOTER']);
  });

  it('that lost its footer is told from a stream cut short', async () => {
    const lost = await reportOf({
      '/vm/disk.vmdk': streamImage().bytes.fill(0xab, streamImage().bytes.length - 2 * SECTOR_BYTES),
    });
    expect(lost.problems.map(({ code, repairable }) => [code, repairable])).toEqual([['FOOTER', true]]);
    expect(lost['allocated-clusters']).toBe(4);
    const cut = await reportOf({
      '/vm/disk.vmdk': ((image) => image.bytes.subarray(0, image.sectorOf(515) * SECTOR_BYTES))(
        streamImage(),
      ),
    });
    expect(cut.problems.map(({ code }) => code)).toEqual(['TRUNC']);
    expect(cut.problems[0]!.message).toContain('grain 513 is the first that is missing');
  });
});

it('compressed grains without markers cannot be checked, which is no damage', async () => {
  const image = streamImage();
  image.bytes.writeUInt32LE(0x10001, SparseExtentHeader.offsetOf('flags'));
  const report = await reportOf({ '/vm/disk.vmdk': image.bytes });
  expect(report).toMatchObject({ verdict: 'unchecked', 'check-errors': 1, corruptions: 0 });
});

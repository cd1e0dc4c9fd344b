// Partition tables, whole, damaged and hostile.
import { describe, expect, it } from 'vitest';
import type { PartitionTable } from '../../src/examine/partition-types.ts';
import { readPartitions } from '../../src/examine/partitions.ts';
import { FatBootSector } from '../../src/format/boot-sector.ts';
import { GptHeader } from '../../src/format/gpt.ts';
import { bufferTarget } from '../support/buffer-disk.ts';
import { mbrSector, putGpt } from '../support/partition-tables.ts';

const SECTORS = 4096;

const read = (disk: Buffer): Promise<PartitionTable> =>
  readPartitions('/d.vmdk', bufferTarget(disk.length / 512, disk));

const brief = ({ rows }: PartitionTable): string[] =>
  rows.map(({ kind, number, start, count }) => `${kind}${number ?? ''} ${start}+${count}`);

const codes = ({ findings }: PartitionTable): string[] => findings.map(({ code }) => code);

describe('a disk without a table', () => {
  it('has none, whatever its boot sector says', async () => {
    const disk = Buffer.alloc(SECTORS * 512);
    expect(await read(disk)).toMatchObject({ scheme: 'none', rows: [], findings: [] });
    const boot = FatBootSector.encode({
      BS_jmpBoot: Buffer.from([0xeb, 0x3c, 0x90]),
      BPB_BytsPerSec: 512,
      BPB_SecPerClus: 4,
      BPB_RsvdSecCnt: 1,
      BPB_NumFATs: 2,
      BPB_Media: 0xf8,
      BootCode: Buffer.alloc(420, 0x41),
      Signature: 0xaa55,
    });
    disk.set(boot);
    expect((await read(disk)).scheme).toBe('none');
    expect((await read(Buffer.alloc(0))).scheme).toBe('none');
  });
});

describe('an MBR', () => {
  it('lists primary and logical partitions, tables and gaps', async () => {
    const disk = Buffer.alloc(SECTORS * 512);
    disk.set(
      mbrSector([
        { type: 0x83, start: 64, count: 100, boot: 0x80 },
        { type: 0x05, start: 1000, count: 2000 },
      ]),
    );
    disk.set(
      mbrSector([
        { type: 0x83, start: 8, count: 92 },
        { type: 0x05, start: 500, count: 300 },
      ]),
      1000 * 512,
    );
    disk.set(mbrSector([{ type: 0x82, start: 16, count: 284 }]), 1500 * 512);
    const table = await read(disk);
    expect(table).toMatchObject({ scheme: 'dos', id: '1234abcd', findings: [] });
    expect(brief(table)).toEqual([
      'meta 0+1',
      'unallocated 0+64',
      'partition1 64+100',
      'unallocated 164+844',
      'meta2 1000+2000',
      'meta 1000+1',
      'partition5 1008+92',
      'unallocated 1100+416',
      'meta 1500+300',
      'meta 1500+1',
      'partition6 1516+284',
      'unallocated 1800+2296',
    ]);
  });

  it('stops where extended tables lead in a circle, nowhere, or past the end', async () => {
    const disk = Buffer.alloc(SECTORS * 512);
    const chain = (second: Buffer | undefined, start: number): Buffer => {
      disk.fill(0);
      disk.set(mbrSector([{ type: 0x0f, start: 100, count: 3000 }]));
      disk.set(mbrSector([{ type: 0x05, start, count: 10 }]), 100 * 512);
      if (second !== undefined) disk.set(second, (100 + start) * 512);
      return disk;
    };
    expect(codes(await read(chain(mbrSector([{ type: 5, start: 0, count: 9 }]), 50)))).toEqual(['EBR-LOOP']);
    expect(codes(await read(chain(undefined, 50)))).toEqual(['EBR-SIGNATURE']);
    expect(codes(await read(chain(undefined, 9000)))).toEqual(['EBR-OUTSIDE']);
    disk.fill(0);
    disk.set(mbrSector([{ type: 5, start: 1, count: 3000 }]));
    for (let at = 0; at < 400; at++) {
      disk.set(mbrSector([{ type: 5, start: at + 1, count: 5 }]), (at + 1) * 512);
    }
    expect(codes(await read(disk))).toEqual(['EBR-MANY']);
  });

  it('tells of partitions that overlap or leave the disk', async () => {
    const disk = Buffer.alloc(SECTORS * 512);
    disk.set(
      mbrSector([
        { type: 0x83, start: 10, count: 100 },
        { type: 0x83, start: 50, count: 5000 },
      ]),
    );
    const table = await read(disk);
    expect(codes(table)).toEqual(['PARTITION-OVERLAP', 'PARTITION-OUTSIDE']);
    expect(brief(table).at(-1)).toBe('partition2 50+5000');
  });
});

describe('a GPT', () => {
  const parts = [
    { name: 'boot', start: 64, last: 163 },
    { name: 'data', start: 200, last: 299 },
  ];
  const disk = (): Buffer => {
    const bytes = Buffer.alloc(SECTORS * 512);
    putGpt(bytes, parts);
    return bytes;
  };

  it('is proved by both copies', async () => {
    const table = await read(disk());
    expect(table).toMatchObject({ scheme: 'gpt', header: 'primary', findings: [] });
    expect(table.id).toBe('d1d1d1d1-d1d1-d1d1-d1d1-d1d1d1d1d1d1');
    expect(table.rows.filter(({ kind }) => kind === 'partition')).toMatchObject([
      { slot: '000', number: 1, start: 64, count: 100, description: 'boot', 'type-name': 'Linux Filesystem' },
      { slot: '001', number: 2, start: 200, count: 100, description: 'data' },
    ]);
  });

  it('is listed from its backup when the primary is damaged', async () => {
    const bytes = disk();
    bytes[512 + 72]! ^= 1;
    const table = await read(bytes);
    expect(table.header).toBe('backup');
    expect(codes(table)).toContain('GPT-PRIMARY-CRC');
    expect(codes(table)).toContain('GPT-FROM-BACKUP');
    expect(brief(table)).toContain('partition1 64+100');
    const gone = disk();
    gone.fill(0, 512, 1024);
    expect(await read(gone)).toMatchObject({ header: 'backup' });
  });

  it('tells of a backup that is damaged, misplaced, or says something else', async () => {
    const damaged = disk();
    damaged[(SECTORS - 1) * 512 + 50]! ^= 1;
    expect(codes(await read(damaged))).toEqual(['GPT-BACKUP-CRC']);
    const grown = Buffer.concat([disk(), Buffer.alloc(512 * 100)]);
    expect(codes(await read(grown))).toEqual(['GPT-BACKUP-PLACE']);
    const [one, other] = [disk(), Buffer.alloc(SECTORS * 512)];
    putGpt(other, [{ name: 'else', start: 64, last: 99 }]);
    one.set(other.subarray(-33 * 512), (SECTORS - 33) * 512);
    expect(codes(await read(one))).toEqual(['GPT-COPIES-DIFFER']);
  });

  it('is never sized by what a hostile header says', async () => {
    for (const [field, value] of [
      ['NumberOfPartitionEntries', 0xffffffff],
      ['SizeOfPartitionEntry', 0x7fffffff],
      ['HeaderSize', 0xffffffff],
    ] as const) {
      const bytes = disk();
      for (const at of [512, (SECTORS - 1) * 512])
        bytes.fill(0xff, at + GptHeader.offsetOf(field), at + GptHeader.offsetOf(field) + 4);
      expect([field, (await read(bytes)).scheme, value > 0]).toEqual([field, 'dos', true]);
    }
  });
});

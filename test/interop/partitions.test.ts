// `vmdkit partitions` beside mmls: the same lines on the same bytes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { buildCommand, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { mbrSector, putGpt } from '../support/partition-tables.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { diskOfRaw } from '../support/raw-disk.ts';

const SECTORS = 16_384;

describeWithPeer('mmls', 'partitions beside mmls', ({ mmls }) => {
  let folder: string;
  let remove: () => Promise<void>;

  beforeAll(() => buildCommand());
  beforeEach(async () => ({ folder, remove } = await temporaryFolder()));
  afterEach(() => remove());

  const both = async (bytes: Buffer): Promise<[ours: string, theirs: string]> => {
    const raw = join(folder, 'disk.raw');
    await writeFile(raw, bytes);
    const ours = await quietly(['partitions', await diskOfRaw(raw)]);
    const theirs = await mmls.ok([raw]);
    return [ours, theirs.replace(/ +$/gm, '')];
  };

  it('agree on primary and logical partitions of types known and unknown', async () => {
    for (const types of [
      [0x83, 0x07, 0x0c],
      [0xef, 0xfb, 0x15],
    ]) {
      const disk = Buffer.alloc(SECTORS * 512);
      disk.set(
        mbrSector([
          ...types.map((type, index) => ({ type, start: 64 + index * 1000, count: 900 })),
          { type: 0x0f, start: 4000, count: 8000 },
        ]),
      );
      disk.set(
        mbrSector([
          { type: types[0]!, start: 63, count: 500 },
          { type: 0x05, start: 1000, count: 1000 },
        ]),
        4000 * 512,
      );
      disk.set(mbrSector([{ type: 0x82, start: 63, count: 900 }]), 5000 * 512);
      const [ours, theirs] = await both(disk);
      expect(ours).toBe(theirs);
    }
  });

  it('agree on a GPT, and read its backup where mmls does', async () => {
    const disk = Buffer.alloc(SECTORS * 512);
    putGpt(disk, [
      { name: 'EFI', start: 64, last: 999 },
      { name: 'Käse & Brot', start: 2048, last: 9999 },
      { name: '', start: 10_000, last: 12_000 },
    ]);
    const [ours, theirs] = await both(disk);
    expect(ours).toBe(theirs);
  });

  it('give the same as JSON, and exit code 1 where there is no table', async () => {
    const raw = join(folder, 'disk.raw');
    const disk = Buffer.alloc(SECTORS * 512);
    putGpt(disk, [{ name: 'one', start: 64, last: 999 }]);
    disk[512 + 60]! ^= 1;
    await writeFile(raw, disk);
    const path = await diskOfRaw(raw);
    const table = await json<{ header: string; findings: { code: string }[] }>('partitions', [
      'partitions',
      path,
    ]);
    expect(table.header).toBe('backup');
    expect(table.findings.map(({ code }) => code)).toEqual(['GPT-PRIMARY-CRC', 'GPT-FROM-BACKUP']);
    await writeFile(raw, Buffer.alloc(SECTORS * 512));
    const outcome = await vmdkit(['partitions', path]);
    expect(outcome).toMatchObject({ code: 1, stderr: 'no partition table: neither DOS nor GPT\n' });
    expect(outcome.stdout.toString()).toBe('');
  });
});

// ls and cat --file on the demo's base disk, which has one FAT16 partition.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  buildCommand,
  expectValid,
  json,
  makeDemoBase,
  quietly,
  temporaryFolder,
  vmdkit,
} from '../support/command.ts';
import { mbrSector } from '../support/partition-tables.ts';
import { diskOfRaw } from '../support/raw-disk.ts';

let demo: Awaited<ReturnType<typeof temporaryFolder>>;
let base: string;
let folder: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  buildCommand();
  demo = await temporaryFolder();
  base = makeDemoBase(demo.folder);
});
afterAll(() => demo.remove());
beforeEach(async () => ({ folder, remove } = await temporaryFolder()));
afterEach(() => remove());

interface Listing {
  volumes: { partition: number; 'file-system'?: string; problem?: { code: string } }[];
  files: { path: string; size: number; ranges?: { offset: number; start: number; length: number }[] }[];
}

describe('ls', () => {
  it('lists the only file system of a disk, as text, JSON and lines', async () => {
    const text = await quietly(['ls', base]);
    expect(text.split('\n')[1]).toBe('-        5             14  2009-05-22 12:00:00  /HOSTNAME.TXT');
    const listing = await json<Listing>('ls', ['ls', base, '--ranges']);
    expect(listing.volumes).toMatchObject([{ partition: 1, 'file-system': 'fat16' }]);
    expect(listing.files.map(({ path }) => path)).toEqual([
      '/README.TXT',
      '/HOSTNAME.TXT',
      '/SYSTEM.LOG',
      '/SAMPLE.BIN',
    ]);
    // fixtures/README.md tells where it starts.
    expect(listing.files[1]!.ranges).toEqual([{ offset: 0, start: 2337 * 512, length: 2048 }]);
    const lines = await quietly(['ls', base, '/hostname.txt', '--ranges', '--output', 'ndjson']);
    expect(
      lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([{ size: 14, type: 'file' }]);
  });

  it('lists file systems where there is more than one, or none that can be read', async () => {
    const raw = join(folder, 'two.raw');
    const disk = Buffer.alloc(4096 * 512);
    disk.set(
      mbrSector([
        { type: 0x07, start: 100, count: 1000 },
        { type: 0x83, start: 1200, count: 1000 },
      ]),
    );
    disk.write('NTFS    ', 100 * 512 + 3, 'latin1');
    await writeFile(raw, disk);
    const path = await diskOfRaw(raw);
    const { code, stdout } = await vmdkit(['ls', path, '--json']);
    expect(code).toBe(1);
    const listing = JSON.parse(stdout.toString()) as Listing;
    expectValid('ls', listing);
    expect(listing.volumes.map(({ problem }) => problem?.code)).toEqual([
      'file-system-unsupported',
      'file-system-unsupported',
    ]);
    const ntfs = await vmdkit(['ls', path, '--partition', '1']);
    expect(ntfs).toMatchObject({ code: 3 });
    expect(ntfs.stderr).toMatch(/NTFS is not looked into[^]*Sleuthkit/);
    expect((await vmdkit(['ls', path, '--partition', '7'])).stderr).toMatch(/there is no partition 7/);
  });

  it('has a name for what is not there', async () => {
    const { code, stderr } = await vmdkit(['ls', base, '/README.TXT/x']);
    expect({ code, stderr }).toMatchObject({ code: 3 });
    expect(stderr).toMatch(/there is no \/README.TXT\/x: found \/README.TXT is a file/);
  });
});

describe('cat --file', () => {
  it('gives the bytes of a file, to a pipe and to a new file', async () => {
    expect(await quietly(['cat', base, '--file', '/hostname.txt'])).toBe('golden-image\r\n');
    const target = join(folder, 'sample.bin');
    await quietly(['cat', base, '--file', 'SAMPLE.BIN', '-o', target]);
    expect((await readFile(target)).length).toBe(96 * 1024);
    const again = await vmdkit(['cat', base, '--file', 'SAMPLE.BIN', '-o', target]);
    expect(again.code).toBe(4);
  });

  it('is no part of a disk', async () => {
    const both = await vmdkit(['cat', base, '--file', '/README.TXT', '--start', '0']);
    expect(both).toMatchObject({ code: 2 });
    expect((await vmdkit(['cat', base, '--partition', '1'])).code).toBe(2);
  });
});

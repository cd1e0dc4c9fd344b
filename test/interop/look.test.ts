// hexdump beside hexdump -C, files that changed beside two trees whose difference is known, and the report in Chromium.
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { changedFiles } from '../../src/examine/changed-files.ts';
import { buildCommand, quietly, temporaryFolder } from '../support/command.ts';
import { addUnixFiles, inPartition, makeExt, makeTree } from '../support/file-system-images.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { diskOfRaw } from '../support/raw-disk.ts';
import { makeSmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => ({ folder, remove } = await temporaryFolder()));
afterEach(() => remove());

describeWithPeer('hexdump', 'hexdump beside hexdump -C', ({ hexdump }) => {
  it('agree on a chain, whole and in part', async () => {
    const { leaf, contents } = await makeSmallChain(folder);
    const raw = join(folder, 'contents.raw');
    contents.write('some text', 3_000_001);
    await writeFile(raw, contents);
    const disk = await diskOfRaw(raw);
    expect(await quietly(['hexdump', disk])).toBe(await hexdump.ok(['-C', raw]));
    const part = ['--start', '3000000', '--length', '100'];
    expect(await quietly(['hexdump', disk, ...part])).toBe(
      await hexdump.ok(['-C', '-s', '3000000', '-n', '100', raw]),
    );
    contents.fill(0, 3_000_001, 3_000_010);
    await writeFile(raw, contents);
    expect(await quietly(['hexdump', leaf])).toBe(await hexdump.ok(['-C', raw]));
  });
});

describeWithPeer('mke2fs', 'files that changed', ({ mke2fs }) => {
  it('are those in which two trees differ', async () => {
    const [before, after] = [join(folder, 'before'), join(folder, 'after')];
    await mkdir(before);
    await makeTree(before);
    await addUnixFiles(before);
    await cp(before, after, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    await appendFile(join(after, 'etc/hosts'), '10.0.0.1 new\n');
    const large = await readFile(join(after, 'large.bin'));
    large[777_777]! ^= 1;
    await writeFile(join(after, 'large.bin'), large);
    await rm(join(after, 'small.bin'));
    await rename(join(after, 'etc/deep'), join(after, 'etc/deeper'));
    await writeFile(join(after, 'many/new file'), 'new\n');
    const disks: string[] = [];
    for (const tree of [before, after]) {
      await makeExt(mke2fs, `${tree}.img`, tree, [
        '-t',
        'ext4',
        '-U',
        '11111111-2222-3333-4444-555555555555',
      ]);
      await inPartition(`${tree}.img`, `${tree}.raw`);
      disks.push(await diskOfRaw(`${tree}.raw`));
    }
    const [a, b] = [await openChain(disks[0]!, 'read'), await openChain(disks[1]!, 'read')];
    const { files, problems, differing, inNoFile } = await changedFiles(a, b);
    await a.close();
    await b.close();
    expect(problems).toEqual([]);
    expect(
      files.filter(({ change }) => change !== 'metadata').map(({ change, path }) => `${change} ${path}`),
    ).toEqual([
      'removed /etc/deep',
      'removed /etc/deep/deeper',
      'removed /etc/deep/deeper/file',
      'added /etc/deeper',
      'added /etc/deeper/deeper',
      'added /etc/deeper/deeper/file',
      'changed /etc/hosts',
      'changed /large.bin',
      'added /many/new file',
      'removed /small.bin',
    ]);
    expect(inNoFile).toBeLessThan(differing);
  });
});

describeWithPeer('chromium', 'the report in Chromium', ({ chromium }) => {
  /** What Chromium says on its console while it takes a picture, and the picture's size. */
  const show = async (page: string): Promise<{ console: string; bytes: number }> => {
    const picture = `${page}.png`;
    const home = join(folder, 'chromium');
    const args = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      `--user-data-dir=${home}`,
      '--enable-logging=stderr',
    ];
    const { stderr } = await promisify(execFile)(
      chromium.path,
      [...args, '--window-size=1000,1600', `--screenshot=${picture}`, `file://${page}`],
      { timeout: 60_000 },
    );
    return { console: stderr, bytes: (await stat(picture)).size };
  };

  it('is shown with its style, and breaks no rule of its own policy', async () => {
    const [disks, out] = [join(folder, 'disks'), join(folder, 'out')];
    for (const each of [disks, out]) await mkdir(each);
    const { leaf } = await makeSmallChain(disks);
    const page = join(out, 'report.html');
    await quietly(['report', leaf, '-o', page, '-q']);
    const sound = await show(page);
    expect(sound.console).not.toMatch(/CONSOLE|Content Security Policy/);
    expect(sound.bytes).toBeGreaterThan(50_000);
    // The same page with a letter of its style changed: the policy refuses it, and Chromium says so.
    const broken = join(out, 'broken.html');
    await writeFile(broken, (await readFile(page, 'utf8')).replace('max-width:960px', 'max-width:961px'));
    expect((await show(broken)).console).toMatch(/Content Security Policy/);
  });
});

// The worked case keeps its word: every command runs as it stands, prints what the page shows, and what other people's
// tools say of the same bytes agrees with it.
import { readFileSync, realpathSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildCommand, COMMAND, expectValid, json, temporaryFolder } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { difference, runStep, stepsOf } from '../support/walkthrough.ts';
import { makeMailDisk } from '../support/worked-case-files.ts';
import { makeWorkedCase } from '../support/worked-case.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/worked-case.md', import.meta.url)), 'utf8');
/** A slow machine would print lines of progress. */
const MORE = ['--progress', 'never'];
let datastore: string;
let bin: string;
let scratch: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  buildCommand();
  const temporary = await temporaryFolder();
  remove = temporary.remove;
  const folder = realpathSync(temporary.folder);
  [datastore, bin, scratch] = [join(folder, 'ds1'), join(folder, 'bin'), join(folder, 'scratch')];
  await mkdir(datastore);
  await mkdir(bin);
  const script = `#!/bin/sh\nexec "${process.execPath}" "${COMMAND}" "$@" ${MORE.join(' ')}\n`;
  await writeFile(join(bin, 'vmdkit'), script);
  await chmod(join(bin, 'vmdkit'), 0o755);
  await makeWorkedCase(datastore);
});
afterAll(() => remove());

const PEERS = [
  'qemu-img',
  'mmls',
  'fls',
  'icat',
  'istat',
  'hexdump',
  'sha256sum',
  'mke2fs',
  'debugfs',
] as const;

describeWithPeer(PEERS, 'the worked case', (peers) => {
  it('runs line by line, and prints what it shows', { timeout: 300_000 }, async () => {
    await makeMailDisk(datastore, scratch, peers);
    const steps = stepsOf(page);
    expect(steps.length).toBeGreaterThan(20);
    for (const { line, command, shown, code } of steps) {
      const ran = await runStep(command, datastore, bin, MORE);
      const at = `worked-case.md, line ${line}: ${command}`;
      expect({ at, differs: difference(shown, ran.lines), code: ran.code }).toEqual({
        at,
        differs: undefined,
        code,
      });
    }
    // The superblock is no file's.
    const disk = join(datastore, 'mail/mail-000001.vmdk');
    const answer = await json('which', ['which', disk, '2050s', '--files']);
    expect(answer).toMatchObject({ partition: 1, 'file-system': 'ext4', files: [], 'file-problems': [] });
    expectValid('evidence', JSON.parse(readFileSync(join(datastore, 'installed.json'), 'utf8')));
  });
});

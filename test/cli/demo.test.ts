// The base disk of the demo: its maker makes the disk whose hash ships, and the demo runs on it.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCommand, temporaryFolder, vmdkit } from '../support/command.ts';

const root = new URL('../../', import.meta.url);
const SHIPPED = fileURLToPath(new URL('fixtures/base.sha256', root));
const run = promisify(execFile);
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

beforeAll(() => buildCommand());

describe('the base disk of the demo', () => {
  it('is the one that the fixtures ship, byte for byte, each time it is made', async () => {
    const { folder, remove } = await temporaryFolder();
    try {
      const maker = fileURLToPath(new URL('fixtures/make-base.js', root));
      const path = join(folder, 'base.vmdk');
      for (let time = 0; time < 2; time++) {
        await run(process.execPath, [maker, path]);
        expect(`${sha256(await readFile(path))}  base.vmdk\n`).toBe(await readFile(SHIPPED, 'utf8'));
      }
    } finally {
      await remove();
    }
  });
});

describe('the demo', () => {
  it('makes eight clones, writes into one, and shows that the base did not change', async () => {
    const { stdout } = await run(process.execPath, [fileURLToPath(new URL('bin/demo.mjs', root))]);
    const folder = /^All of it is in (\S+):/m.exec(stdout)?.[1] ?? '';
    try {
      expect(stdout).toContain('The base did not change.');
      expect(stdout).toMatch(/^\$ vmdkit clone golden\/base\.vmdk --into clones --count 8/m);
      expect(stdout).toMatch(/\| cat\nweb-03 {6}\n.*\| cat\ngolden-image\n.*\| cat\ngolden-image\n/);
      const base = await readFile(join(folder, 'golden/base.vmdk'));
      expect(await readFile(SHIPPED, 'utf8')).toContain(sha256(base));
      for (const number of [1, 8]) {
        const { stdout: read } = await vmdkit([
          'cat',
          join(folder, `clones/web-0${number}.vmdk`),
          '--length',
          '512',
        ]);
        expect(read.subarray(510)).toEqual(Buffer.from([0x55, 0xaa]));
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

// The README keeps its word: its table is the list of commands, and its examples run as they stand.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.ts';
import { headOf } from '../../src/cli/help.ts';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, COMMAND, temporaryFolder } from '../support/command.ts';
import { buildMachine } from '../support/machine-model.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const run = promisify(execFile);

let folder: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  await createDisk(join(folder, 'base.vmdk'), bytes(64 << 20));
  await buildMachine(createNodeFileStore(), join(folder, 'golden'), { snapshots: false });
});
afterEach(() => remove());

describe('the README', () => {
  it('lists every command as it is declared', () => {
    const rows = readme.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(COMMANDS.map((command) => `| \`${headOf(command)}\` | ${command.summary} |`));
  });

  it('links to files that are there', () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(3);
    expect(links.filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });

  it('has a quick start that runs, line by line', async () => {
    const lines = [...readme.matchAll(/^ {4}(?=vmdkit |echo )(.+)$/gm)].map(([, line = '']) => line);
    expect(lines.length).toBeGreaterThan(5);
    const script = ['set -e', `vmdkit() { "${process.execPath}" "${COMMAND}" "$@"; }`, ...lines].join('\n');
    const { stdout } = await run('bash', ['-c', script], { cwd: folder });
    expect(stdout).toContain('the chain is complete');
    expect(stdout).toContain('20 of them linked clones');
    expect(existsSync(join(folder, 'desk-06/desk-06.vmx'))).toBe(true);
    expect(existsSync(join(folder, 'desk-07'))).toBe(false);
    const raw = await open(join(folder, 'web-01.raw'), 'r');
    const merged = Buffer.alloc(6);
    await raw.read(merged, 0, 6, 1 << 20);
    await raw.close();
    expect(merged.toString()).toBe('hello\n');
  });

  it('has a library example that runs', async () => {
    const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? '';
    await mkdir(join(folder, 'node_modules'));
    await symlink(root, join(folder, 'node_modules', 'vmdkit'));
    await writeFile(join(folder, 'example.mjs'), example);
    const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: folder });
    expect(stdout).toMatch(/^sectors 2048 \+ 128: link 0, .*web-01\.vmdk\n[0-9a-f]{64}\n$/);
  });
});

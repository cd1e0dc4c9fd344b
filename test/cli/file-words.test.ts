// Words of a command line that should name files: every command explains what is none, before it does anything.
import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { optionsOf } from '../../src/cli/arguments.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { FILE_WORDS } from '../../src/cli/file-words.ts';
import { quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { makeSmallChain } from '../support/small-chain.ts';

/** What operands and values may be called that are something else. */
const OTHER_WORDS =
  'ACTION ADDR ADDRESS COMMAND FILL FORMAT FROM=TO HINT HOW KIND LAYOUT LENGTH LIST N NAME NAME|UID NEW-NAME NODE PART PATH POINT RULE SECONDS SHELL SIZE SNAPSHOT STYLE TEMPLATE TEXT TYPE URI URL WHAT WHEN';

let folder: string;
let remove: () => Promise<void>;
beforeEach(async () => ({ folder, remove } = await temporaryFolder()));
afterEach(() => remove());

describe('a word that should name a file', () => {
  it('is known as one by what help calls it', () => {
    const words = COMMANDS.flatMap((command) => [
      ...command.operands.map(({ name }) => name),
      ...optionsOf(command).flatMap(({ value }) => (value === undefined ? [] : [value])),
    ]);
    const others = new Set(words.filter((word) => !FILE_WORDS.has(word)));
    expect([...others].sort().join(' ')).toBe(OTHER_WORDS);
    expect([...FILE_WORDS].filter((word) => !words.includes(word))).toEqual([]);
  });

  it('is explained by every command when it is a protocol, and a mistake when it is empty', async () => {
    const named = COMMANDS.filter(({ operands }) => operands.some(({ name }) => FILE_WORDS.has(name)));
    expect(named.length).toBeGreaterThan(35);
    for (const { name, operands } of named) {
      const line = (word: string): string[] => [
        name,
        ...operands.map((operand) => (FILE_WORDS.has(operand.name) ? word : 'list')),
      ];
      const foreign = await vmdkit(line('nbd://127.0.0.1:1/x'), { cwd: folder });
      expect(foreign.code, name).toBe(3);
      expect(foreign.stderr, name).toMatch(
        /^vmdkit: nbd:\/\/127\.0\.0\.1:1\/x: this is not the path of a file: found the protocol nbd, /,
      );
      const empty = await vmdkit(line(''), { cwd: folder });
      expect([empty.code, empty.stderr.split('\n')[0]], name).toEqual([
        2,
        `vmdkit: ${name}: ${operands.find((operand) => FILE_WORDS.has(operand.name))!.name} is empty`,
      ]);
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('is one as the value of an option, too', async () => {
    const { base } = await makeSmallChain(folder);
    const before = await readdir(folder);
    for (const line of [
      ['create', 'new.vmdk', '--backing', 'rbd:pool/image'],
      ['cat', base, '-o', 'ssh://host/x.raw'],
      ['clone', base, '--into', 'nfs://host/lab'],
      ['hash', base, '--manifest', '[ds1] case.json'],
    ]) {
      const { code, stderr } = await vmdkit([...line, '--json'], { cwd: folder });
      expect([code, JSON.parse(stderr)], line[0]).toMatchObject([3, { error: { code: 'not-a-file-name' } }]);
    }
    expect(await readdir(folder)).toEqual(before);
  });

  it('is no URL where something is made or looked through', async () => {
    const { base } = await makeSmallChain(folder);
    const before = await readdir(folder);
    const url = 'http://127.0.0.1:9/x';
    for (const line of [
      ['create', `${url}.vmdk`, '1M'],
      ['convert', base, `${url}.vmdk`],
      ['cat', base, '-o', url],
      ['clone', base, '--into', url],
      ['rename', base, `${url}.vmdk`],
      ['hash', base, '--manifest', url],
      ['scan', url],
      ['relink', url, '--allow-origin', url],
    ]) {
      const { code, stderr } = await vmdkit(line, { cwd: folder });
      expect([code, stderr.split('\n')[0]], line[0]).toEqual([
        4,
        expect.stringMatching(
          /^vmdkit: http:\/\/127\.0\.0\.1:9\/x(\.vmdk)?: .* must be on this machine: found a URL,/,
        ),
      ]);
    }
    expect(await readdir(folder)).toEqual(before);
  });

  it('is taken as it stands where there is such a file', async () => {
    const { base } = await makeSmallChain(folder);
    await copyFile(base, join(folder, 'nbd:x.vmdk'));
    for (const name of ['nbd:x.vmdk', './nbd:x.vmdk'])
      expect(await quietly(['info', name], { cwd: folder })).toMatch(/^nbd:x\.vmdk\n/);
    // What does not exist yet is made under such a name when that is meant.
    expect((await vmdkit(['cat', base, '-o', './nbd:x.raw'], { cwd: folder })).code).toBe(0);
    expect(await readdir(folder)).toContain('nbd:x.raw');
  });
});

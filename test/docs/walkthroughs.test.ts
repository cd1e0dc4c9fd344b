// The walk-throughs keep their word: every command runs as it stands, prints what the page shows, and ends as it says.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildCommand, COMMAND, temporaryFolder } from '../support/command.ts';
import { difference, plainWords, runStep, stepsOf } from '../support/walkthrough.ts';
import { makeWalkMachine, WALK_MACHINES } from '../support/walkthrough-machines.ts';

const docs = fileURLToPath(new URL('../../docs/walkthroughs/', import.meta.url));
const pages = readdirSync(docs)
  .filter((name) => name.endsWith('.md') && name !== 'README.md')
  .map((name) => name.replace(/\.md$/, ''));
const textOf = (page: string): string => readFileSync(join(docs, `${page}.md`), 'utf8');

let datastore: string;
let bin: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => {
  const temporary = await temporaryFolder();
  remove = temporary.remove;
  const folder = realpathSync(temporary.folder);
  [datastore, bin] = [join(folder, 'ds1'), join(folder, 'bin')];
  await mkdir(datastore);
  await mkdir(bin);
  await writeFile(join(bin, 'vmdkit'), `#!/bin/sh\nexec "${process.execPath}" "${COMMAND}" "$@"\n`);
  await chmod(join(bin, 'vmdkit'), 0o755);
});
afterEach(() => remove());

describe('the walk-throughs', () => {
  it.each(pages)('%s runs line by line, and prints what it shows', async (page) => {
    for (const machine of WALK_MACHINES[page]!) await makeWalkMachine(datastore, machine);
    const steps = stepsOf(textOf(page));
    expect(steps.length).toBeGreaterThan(4);
    for (const { line, command, shown, code } of steps) {
      const ran = await runStep(command, datastore, bin);
      const at = `${page}.md, line ${line}: ${command}`;
      expect({ at, differs: difference(shown, ran.lines), code: ran.code }).toEqual({
        at,
        differs: undefined,
        code,
      });
    }
  });

  it('are listed, all of them, and link to what is there', () => {
    const links = (text: string): string[] =>
      [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, target = '']) => target);
    const listed = links(readFileSync(join(docs, 'README.md'), 'utf8'));
    expect(listed.toSorted()).toEqual(pages.map((page) => `${page}.md`).toSorted());
    expect(pages.toSorted()).toEqual(Object.keys(WALK_MACHINES).toSorted());
    for (const page of pages)
      expect(links(textOf(page)).filter((target) => !existsSync(join(docs, target)))).toEqual([]);
  });

  it('say each what the old way was, and what to watch', () => {
    for (const page of pages) expect(textOf(page)).toMatch(/^# .+\n\n[A-Z][^]+\n## [^]+\n## What to watch\n/);
  });
});

describe('a page that is no longer true', () => {
  const shown = [
    'made 3 machines: 1.5 MiB in /mnt/ds1',
    '  uuid  564d1276-5126-333b-26ed-34983030e224',
    'done',
  ];

  it('is told by what differs, not by what is drawn anew or counted by blocks', () => {
    const other = [
      'made 3 machines: 1.51 MiB in /mnt/ds1',
      '  uuid      564d0000-5126-333b-26ed-34983030e225',
      'done',
    ];
    expect(difference(shown, other)).toBeUndefined();
    expect(difference([shown[0]!, '…', 'done'], other)).toBeUndefined();
    expect(difference(['made … machines: …', '…'], other)).toBeUndefined();
  });

  it.each([
    [['made 4 machines: 1.5 MiB in /mnt/ds1', shown[1]!, 'done']],
    [['made 3 machines: 2.5 MiB in /mnt/ds1', shown[1]!, 'done']],
    [['made 3 machines: 1.5 MiB in /mnt/ds1', '  uuid  none', 'done']],
    [shown.slice(0, 2)],
    [[...shown, 'and more']],
  ])('is told of %j', (printed) => {
    expect(difference(shown, printed)).toBeDefined();
  });

  it.each([
    [
      `vmdkit scan . --who-uses 'a b/{1..3}.vmdk' "x y"`,
      ['vmdkit', 'scan', '.', '--who-uses', 'a b/{1..3}.vmdk', 'x y'],
    ],
    ['vmdkit scan . | head', undefined],
    ['vmdkit scan *', undefined],
    ['vmdkit scan "$HOME"', undefined],
    ["vmdkit scan a'b'", undefined],
    ['vmdkit scan \\\n  x', ['vmdkit', 'scan', 'x']],
  ])('is given to a shell unless it is only words: %s', (command, words) => {
    expect(plainWords(command)).toEqual(words);
  });

  it('is read command by command, with what is shown and the exit code', () => {
    const text = 'x\n```console\n$ a |\n>   b\nout\n[exit code 4]\n$ c\n```\n```\n$ no\n```\n';
    expect(stepsOf(text)).toEqual([
      { line: 3, command: 'a |\n  b', shown: ['out'], code: 4 },
      { line: 7, command: 'c', shown: [], code: 0 },
    ]);
  });
});

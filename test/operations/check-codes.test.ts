// The list of codes in docs/format-checks.md and the codes in the source are the same: nobody meets a code that is not
// explained, and nothing is explained that cannot be met.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const CODE = /^[A-Z]+[0-9]?(?:-[A-Z]+)*$/;

function codesOf(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, code = '']) => code).filter((code) => CODE.test(code));
}

it('every code that a check gives is documented, and every documented code is given', () => {
  const source = ['grain', 'disk', 'chain'].flatMap((folder) =>
    readdirSync(join(root, 'src', folder))
      .filter((name) => name.startsWith('check-'))
      .map((name) => readFileSync(join(root, 'src', folder, name), 'utf8')),
  );
  // What the formats' own vocabulary spells in capitals is no code.
  const words = new Set(['FLAT', 'VMFS', 'ZERO', 'NOACCESS', 'KDMV', 'COWD']);
  const given = new Set(
    codesOf(source.join('\n'), /'([A-Z][A-Z0-9-]{2,})'/g).filter((code) => !words.has(code)),
  );
  const table = readFileSync(join(root, 'docs/format-checks.md'), 'utf8')
    .split('## Codes')[1]!
    .split('\n## ')[0]!;
  const heads = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, head = '']) => head.split(/,\s*/));
  const documented = new Set(heads.filter((code) => CODE.test(code)));
  expect([...given].sort()).toEqual([...documented].sort());
  expect(given.size).toBeGreaterThan(40);
});

const docs = readFileSync(join(root, 'docs/format-checks.md'), 'utf8');

/** Codes in the first column of the table below a heading. */
function codesUnder(heading: string): string[] {
  const section = docs.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const heads = [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, head = '']) => head);
  return [
    ...new Set(heads.flatMap((head) => head.match(/\b[A-Z]+[0-9]?(?:-[A-Z]+)+\b|\b[A-Z]{3,}\b/g) ?? [])),
  ];
}

it('every damage that a repair is said to mend is in the catalogue: made, found, planned, mended and taken back', () => {
  const catalogue = readFileSync(join(root, 'test/operations/plan-repair.test.ts'), 'utf8');
  const mended = codesUnder('What a repair does');
  expect(mended.length).toBeGreaterThan(13);
  expect(mended.filter((code) => !catalogue.includes(`'${code}'`))).toEqual([]);
});

it('every code is made by a damage of our own, and found', () => {
  const folder = join(root, 'test/operations');
  const tests = readdirSync(folder).filter(
    (name) => /^(?:check|plan)-.*\.test\.ts$/.test(name) && !/codes|corpus/.test(name),
  );
  const text = tests.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
  // UNCHECKED shows as the verdict; the rest of the codes of texts is in the tests of the descriptor.
  const codes = codesUnder('Codes').filter((code) => code !== 'UNCHECKED');
  expect(codes.filter((code) => !new RegExp(`\\b${code}\\b`).test(text))).toEqual([]);
});

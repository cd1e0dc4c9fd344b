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

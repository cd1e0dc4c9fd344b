// The walls of the house, kept by a test: floors, cycles, homes of Node's modules, size and manner of files.
// Each wall is also tried on a made-up source that breaks it, so that a wall that sees nothing is noticed.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as house from './support/house-rules.ts';
import { splitSource } from './support/split-source.ts';

const root = new URL('../', import.meta.url);
const sources = filesBelow('src').filter(({ path }) => path.endsWith('.ts'));
const everything = [...sources, ...['test', 'bench', 'bin', 'fixtures'].flatMap(filesBelow)];

describe('the house', () => {
  it('imports only lower floors', () => expectNone(house.floors(sources)));
  it('has no import cycles', () => expectNone(house.cycles(sources)));
  it('keeps files, threads, processes and sockets in their homes', () =>
    expectNone(house.nodeModules(sources)));
  it('asks the network in one place', () => expectNone(house.network(sources)));
  it('has no file over 400 lines', () => expectNone(house.fileLength(sources)));
  it('has a barrel for each public entry, named exports, no enums and no inheritance but of errors', () =>
    expectNone(house.exportsAndClasses(sources)));
  it('is finished, and no test is switched off', () => expectNone(house.finished(everything)));
  it('takes on-disk bytes apart only in src/format', () => expectNone(house.rawAccess(sources)));
  it('opens every file with a comment', () => expectNone(house.openingComment(sources)));
});

describe('the walls themselves', () => {
  it('find an import of a higher floor, of a neighbour, of an unknown folder and of what is outside src', () => {
    expect(
      found(house.floors, {
        'src/grain/a.ts':
          "// a\nimport { b } from '../chain/b.ts';\nimport type { c } from '../extent/c.ts';",
        'src/block/d.ts': "// d\nimport {\n  e,\n} from '../format/e.ts';",
        'src/serve/f.ts': "const f = await import('../cli/f.ts');",
        'src/cli/g.ts': "export type { g } from '../index.ts';\nimport '../attic/g.ts';",
        'src/disk/h.ts': "import p from '../../package.json' with { type: 'json' };",
        'src/utils/i.ts': '',
      }),
    ).toEqual([
      'src/grain/a.ts:2 grain (floor 2) imports chain on a higher floor (5)',
      'src/grain/a.ts:3 grain (floor 2) imports extent on a higher floor (3)',
      'src/block/d.ts:2 block (floor 1) imports format on the same floor (1)',
      'src/serve/f.ts:1 serve (floor 7) imports cli on a higher floor (8)',
      'src/cli/g.ts:1 cli (floor 8) imports index.ts on the same floor (8)',
      'src/cli/g.ts:2 imports src/attic/g.ts, which stands on no floor of the house',
      'src/disk/h.ts:1 imports package.json, which is outside src',
      'src/utils/i.ts:1 utils stands on no floor of the house',
    ]);
  });

  it('let a folder import itself and lower floors, and prose speak of anything', () => {
    const prose =
      "// import { b } from '../cli/b.ts';\nconst s = `\nimport '../cli/b.ts'`;\n/*\nimport '../cli/c.ts' */";
    expect(
      found(house.floors, {
        'src/chain/a.ts': "import { b } from './b.ts';\nimport { c } from '../core/c.ts';",
        'src/core/prose.ts': prose,
        'src/index.ts': "export { openChain } from './chain/a.ts';\nexport * from './serve/b.ts';",
      }),
    ).toEqual([]);
  });

  it('find an import cycle and say the way round', () => {
    const files = {
      'src/core/a.ts': "import { b } from './b.ts';",
      'src/core/b.ts': "\nimport { c } from './c.ts';",
      'src/core/c.ts': "\n\nimport type { a } from './a.ts';",
    };
    expect(found(house.cycles, files)).toEqual([
      'src/core/c.ts:3 import cycle: src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts',
    ]);
    expect(found(house.cycles, { ...files, 'src/core/c.ts': '' })).toEqual([]);
  });

  it("find Node's modules outside their homes", () => {
    expect(
      found(house.nodeModules, {
        'src/chain/a.ts': "import { open } from 'node:fs/promises';\nimport type { Stats } from 'fs';",
        'src/storage/memory.ts': "import * as fs from 'node:fs';",
        'src/storage/node-file-store.ts': "import * as fs from 'node:fs';",
        'src/grain/z.ts': "import { inflate } from 'node:zlib';",
        'src/worker/pool.ts': "import { Worker } from 'node:worker_threads';\nimport 'node:zlib';",
        'src/examine/n.ts': "const net = await import('node:net');\nimport 'node:https';",
        'src/serve/n.ts': "import net from 'node:net';\nimport { createServer } from 'node:http';",
        'src/cli/c.ts': "import { spawn } from 'node:child_process';",
      }),
    ).toEqual([
      'src/chain/a.ts:1 imports node:fs/promises, which belongs only in src/storage/node-*.ts',
      'src/chain/a.ts:2 imports fs, which belongs only in src/storage/node-*.ts',
      'src/storage/memory.ts:1 imports node:fs, which belongs only in src/storage/node-*.ts',
      'src/grain/z.ts:1 imports node:zlib, which belongs only in src/worker/',
      'src/examine/n.ts:2 imports node:https, which belongs only in src/serve/',
      'src/examine/n.ts:1 imports node:net, which belongs only in src/serve/',
      'src/cli/c.ts:1 imports node:child_process, which belongs only in src/serve/',
    ]);
  });

  it('find a call to the network outside its home', () => {
    const code =
      'await fetch(url);\nglobalThis.fetch (url);\nnew WebSocket(url);\noptions.fetch(url); // fetch(url)\nprefetch(1);';
    expect(found(house.network, { 'src/chain/a.ts': code, 'src/storage/remote-client.ts': code })).toEqual([
      'src/chain/a.ts:1 calls fetch, which belongs only in src/storage/remote-client.ts',
      'src/chain/a.ts:2 calls globalThis.fetch, which belongs only in src/storage/remote-client.ts',
      'src/chain/a.ts:3 calls WebSocket, which belongs only in src/storage/remote-client.ts',
    ]);
  });

  it('find a file that is too long', () => {
    expect(
      found(house.fileLength, { 'src/core/a.ts': 'x\n'.repeat(400), 'src/core/b.ts': 'x\n'.repeat(401) }),
    ).toEqual(['src/core/b.ts:401 has 401 lines, more than 400']);
  });

  it('find barrels, default exports, enums and inheritance', () => {
    expect(
      found(house.exportsAndClasses, {
        'src/index.ts': "export { a } from './core/a.ts';\nexport * from './core/b.ts';",
        'src/fixture.ts': "export { a } from './fixture/a.ts';",
        'src/core/a.ts': "// a\nexport {\n  b,\n} from './b.ts';\nexport type { c } from './c.ts';",
        'src/core/b.ts': "export * as all from './b.ts';\nexport default 1;\nexport { b as default };\n",
        'src/core/c.ts':
          'export const enum Kind {}\nenum Other {}\nconst enumerate = 1;\nexport { enumerate };',
        'src/core/d.ts':
          'class A<T> extends Map<T, T> {}\nexport class VmdkError extends Error {}\nconst x = class extends B.C {};\nfunction f<T extends object>() {}\nclass D implements E {}',
      }),
    ).toEqual([
      'src/core/a.ts:2 is a barrel: only src/{index.ts,read.ts,fixture.ts,serve.ts} export from other files',
      'src/core/a.ts:5 is a barrel: only src/{index.ts,read.ts,fixture.ts,serve.ts} export from other files',
      'src/core/b.ts:1 is a barrel: only src/{index.ts,read.ts,fixture.ts,serve.ts} export from other files',
      'src/core/b.ts:2 has a default export',
      'src/core/b.ts:3 has a default export',
      'src/core/c.ts:1 declares an enum',
      'src/core/c.ts:2 declares an enum',
      'src/core/d.ts:1 inherits from Map: only errors inherit',
      'src/core/d.ts:3 inherits from B.C: only errors inherit',
    ]);
  });

  it('find unfinished work and tests that are switched off', () => {
    const [mark, other] = ['TO', 'FIX'].map((half) => half + (half === 'TO' ? 'DO' : 'ME'));
    expect(
      found(house.finished, {
        'src/core/a.ts': `// ${mark}: later\n\n// ${other} now`,
        'test/a.test.ts': ['it.skip', 'describe.only', 'test.concurrent.todo']
          .map((f) => `${f}('x');`)
          .join('\n'),
        'test/b.test.ts': 'set.only(1); it("says it.skip", f);',
      }),
    ).toEqual([
      `src/core/a.ts:1 says ${mark}`,
      `src/core/a.ts:3 says ${other}`,
      'test/a.test.ts:1 switches tests off with it.skip',
      'test/a.test.ts:2 switches tests off with describe.only',
      'test/a.test.ts:3 switches tests off with test.concurrent.todo',
    ]);
  });

  it('find on-disk bytes taken apart outside src/format', () => {
    const code = [
      'b.readUInt32LE(4);',
      'b.writeUInt16LE(1, 0);',
      'b.readBigUInt64LE(8);',
      'new DataView(b.buffer)',
      'view.getUint32(0, true);',
      'view.getBigUint64(0, true);',
      'b.readUInt32BE(0); // the network is big-endian, and readUInt32LE in prose is no use of it',
    ].join('\n');
    expect(found(house.rawAccess, { 'src/grain/a.ts': code, 'src/format/b.ts': code })).toEqual([
      'src/grain/a.ts:1 uses readUInt32LE outside src/format/',
      'src/grain/a.ts:2 uses writeUInt16LE outside src/format/',
      'src/grain/a.ts:3 uses readBigUInt64LE outside src/format/',
      'src/grain/a.ts:4 uses DataView outside src/format/',
      'src/grain/a.ts:5 uses getUint32 outside src/format/',
      'src/grain/a.ts:6 uses getBigUint64 outside src/format/',
    ]);
  });

  it('find a file that opens with no comment or with too long a one', () => {
    expect(
      found(house.openingComment, {
        'src/core/a.ts': "import 'x';",
        'src/core/b.ts': '\n// late',
        'src/core/c.ts': '// x\n'.repeat(7),
        'src/core/d.ts': '// x\n'.repeat(6),
        'src/core/e.ts': `/**\n${' * x\n'.repeat(6)} */\nconst e = 1;`,
      }),
    ).toEqual([
      'src/core/a.ts:1 does not open with a comment that says what the file is',
      'src/core/b.ts:1 does not open with a comment that says what the file is',
      'src/core/c.ts:1 opens with 7 lines of comment, more than 6',
    ]);
  });

  it('tell code from comments, strings, templates and regular expressions', () => {
    const text = 'a("b//", /["\'`/]/g) / c; /* d */ `e ${f({ g: "h" })} i` // j';
    const { code, codeAndStrings } = splitSource(text);
    expect(code.replace(/ +/g, ' ').trim()).toBe('a(" ", / /g) / c; ` f({ g: " " })}');
    expect(codeAndStrings.trimEnd()).toBe(text.replace('/* d */', '       ').replace(' // j', ''));
    expect(code).toHaveLength(text.length);
  });
});

function expectNone(offences: readonly house.Offence[]): void {
  expect(offences.map(print)).toEqual([]);
}

function found(rule: (files: readonly house.SourceFile[]) => house.Offence[], texts: Record<string, string>) {
  return rule(Object.entries(texts).map(([path, text]) => ({ path, text }))).map(print);
}

function print({ path, line, message }: house.Offence): string {
  return `${path}:${line} ${message}`;
}

function filesBelow(folder: string): house.SourceFile[] {
  const top = new URL(`${folder}/`, root);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name))
    .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll('\\', '/').replace(/\/+/g, '/'))
    .map((path) => ({
      path: path.slice(fileURLToPath(root).replaceAll('\\', '/').length),
      text: readFileSync(path, 'utf8'),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

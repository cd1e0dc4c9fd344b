// The walls of the house as functions: each reads source files as text and returns the offences it finds.
// They never throw and never touch the disk, so that test/house.test.ts can try them on made-up sources.
import { posix } from 'node:path';
import { splitSource, type SplitSource } from './split-source.ts';

export interface SourceFile {
  /** From the root of the project, with forward slashes: `src/core/units.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Offence {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

type Rule = (files: readonly SourceFile[]) => Offence[];

/**
 * What a user of the package may import, one file each: the library, its half that only reads, and what a program has no
 * use for that only opens disks (test disks; a server). A file of its own keeps these out of the library's.
 */
const BARRELS: readonly string[] = ['index.ts', 'read.ts', 'fixture.ts', 'serve.ts'];

/** The folders of src by floor, lowest first; the barrels stand on the top floor. */
const FLOORS: readonly (readonly string[])[] = [
  ['core'],
  ['block', 'storage', 'format', 'worker'],
  ['grain'],
  ['extent'],
  ['disk'],
  ['chain'],
  ['operations'],
  ['machine', 'examine', 'fixture', 'serve'],
  ['cli', ...BARRELS],
];

/** Modules of Node, each with the files that may import it. */
const NODE_WALLS: readonly { modules: RegExp; home: RegExp; rule: string }[] = [
  {
    modules: /^(?:node:)?fs(?:\/promises)?$/,
    home: /^src\/storage\/node-[^/]+\.ts$/,
    rule: 'only in src/storage/node-*.ts',
  },
  {
    modules: /^(?:node:)?(?:zlib|worker_threads)$/,
    home: /^src\/worker\//,
    rule: 'only in src/worker/',
  },
  {
    modules: /^(?:node:)?(?:child_process|net|tls|dgram|http|https|http2)$/,
    home: /^src\/serve\//,
    rule: 'only in src/serve/',
  },
];

const MAX_LINES = 400;
const MAX_OPENING_LINES = 6;

const STATIC_IMPORT = /^[ \t]*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*(['"])([^'"\n]+)\1/gm;
const DYNAMIC_IMPORT = /\b(?:import|require|getBuiltinModule)\s*\(\s*(['"])([^'"\n]+)\1/g;
const RE_EXPORT = /^[ \t]*export\s+(?:type\s+)?(?:\*|\{[^}]*\}\s*from\b)/gm;
const DEFAULT_EXPORT = /^[ \t]*export\s+default\b|^[ \t]*export\s*\{[^}]*\bas\s+default\b/gm;
const ENUM = /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/gm;
const SUBCLASS = /\bclass\b(?:\s+(?!extends\b)\w+)?(?:\s*<[^{]*?>)?\s+extends\s+([\w.]+)/g;
const RAW_ACCESS = /\b(?:(?:read|write)(?:Big)?U?Int\d*LE|(?:get|set)(?:Big)?(?:Uint|Int)\d+|DataView)\b/g;
const FETCH = /(?<![.\w])(?:globalThis\.)?(?:fetch|WebSocket|EventSource)\s*\(/g;
const UNFINISHED = /\b(?:TO[D]O|FIX[M]E)\b/g;
const SWITCHED_OFF = /\b(?:it|test|describe|suite|bench)(?:\.\w+)*\.(?:skip|only|todo)\b/g;

/** A folder imports itself and strictly lower floors, nothing beside it, nothing above it, nothing outside src. */
export const floors: Rule = (files) =>
  files.flatMap((file) => {
    const home = roomOf(file.path);
    const homeFloor = floorOf(home);
    if (homeFloor === -1) return [offence(file, 0, `${home} stands on no floor of the house`)];
    return importsOf(file).flatMap(({ target, at }) => {
      if (target === undefined) return [];
      if (!target.startsWith('src/')) return [offence(file, at, `imports ${target}, which is outside src`)];
      const room = roomOf(target);
      if (room === home) return [];
      const floor = floorOf(room);
      if (floor === -1)
        return [offence(file, at, `imports ${target}, which stands on no floor of the house`)];
      if (floor < homeFloor) return [];
      const where = floor === homeFloor ? 'the same floor' : 'a higher floor';
      return [offence(file, at, `${home} (floor ${homeFloor}) imports ${room} on ${where} (${floor})`)];
    });
  });

/** No file imports itself, however long the way round; type imports count. */
export const cycles: Rule = (files) => {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const way: string[] = [];
  const found: Offence[] = [];
  const visit = (file: SourceFile): void => {
    way.push(file.path);
    for (const { target, at } of importsOf(file)) {
      const next = target === undefined ? undefined : byPath.get(target);
      if (next === undefined || done.has(next.path)) continue;
      const from = way.indexOf(next.path);
      if (from === -1) visit(next);
      else found.push(offence(file, at, `import cycle: ${[...way.slice(from), next.path].join(' -> ')}`));
    }
    way.pop();
    done.add(file.path);
  };
  for (const file of files) if (!done.has(file.path)) visit(file);
  return found;
};

/** Files, threads, processes and sockets each have one home. */
export const nodeModules: Rule = (files) =>
  files.flatMap((file) =>
    importsOf(file).flatMap(({ specifier, at }) =>
      NODE_WALLS.filter(({ modules, home }) => modules.test(specifier) && !home.test(file.path)).map(
        ({ rule }) => offence(file, at, `imports ${specifier}, which belongs ${rule}`),
      ),
    ),
  );

/** The network is asked in one place, which holds what is asked to what the caller allowed. */
export const network: Rule = (files) =>
  files
    .filter(({ path }) => path !== 'src/storage/remote-client.ts')
    .flatMap((file) =>
      matches(
        file,
        splitOf(file).code,
        FETCH,
        ([call]) => `calls ${call.replace(/\s*\($/, '')}, which belongs only in src/storage/remote-client.ts`,
      ),
    );

/** A file stays short enough to read in one go. */
export const fileLength: Rule = (files) =>
  files.flatMap((file) => {
    const lines = file.text.replace(/\n$/, '').split('\n').length;
    if (lines <= MAX_LINES) return [];
    return [{ path: file.path, line: MAX_LINES + 1, message: `has ${lines} lines, more than ${MAX_LINES}` }];
  });

/** A barrel for each entry of the package and no other, named exports, no enums, and nothing inherits but errors. */
export const exportsAndClasses: Rule = (files) =>
  files.flatMap((file) => {
    const { code } = splitOf(file);
    const barrel = BARRELS.some((name) => file.path === `src/${name}`)
      ? []
      : matches(
          file,
          code,
          RE_EXPORT,
          () => `is a barrel: only src/{${BARRELS.join()}} export from other files`,
        );
    return [
      ...barrel,
      ...matches(file, code, DEFAULT_EXPORT, () => 'has a default export'),
      ...matches(file, code, ENUM, () => 'declares an enum'),
      ...matches(file, code, SUBCLASS, ([, parent = '']) =>
        /(?:^|\.)\w*Error$/.test(parent) ? undefined : `inherits from ${parent}: only errors inherit`,
      ),
    ];
  });

/** What is committed is finished, and every test runs. */
export const finished: Rule = (files) =>
  files.flatMap((file) => [
    ...matches(file, file.text, UNFINISHED, ([word]) => `says ${word}`),
    ...matches(file, splitOf(file).code, SWITCHED_OFF, ([call]) => `switches tests off with ${call}`),
  ]);

/** Bytes of an on-disk structure are taken apart and put together in format/ alone. */
export const rawAccess: Rule = (files) =>
  files
    .filter((file) => !file.path.startsWith('src/format/'))
    .flatMap((file) =>
      matches(file, splitOf(file).code, RAW_ACCESS, ([call]) => `uses ${call} outside src/format/`),
    );

/** A file opens with one to six lines of comment that say what it is. */
export const openingComment: Rule = (files) =>
  files.flatMap((file) => {
    const lines = openingLines(file.text);
    if (lines === 0) return [offence(file, 0, 'does not open with a comment that says what the file is')];
    if (lines <= MAX_OPENING_LINES) return [];
    return [offence(file, 0, `opens with ${lines} lines of comment, more than ${MAX_OPENING_LINES}`)];
  });

function openingLines(text: string): number {
  if (text.startsWith('//')) {
    const lines = text.split('\n');
    const end = lines.findIndex((line) => !line.startsWith('//'));
    return end === -1 ? lines.length : end;
  }
  if (!text.startsWith('/*')) return 0;
  const end = text.indexOf('*/');
  const comment = end === -1 ? text : text.slice(0, end);
  return comment.split('\n').filter((line) => /[^\s/*]/.test(line)).length;
}

/** Every rule asks for the same files. */
const splits = new WeakMap<SourceFile, SplitSource>();

function splitOf(file: SourceFile): SplitSource {
  const split = splits.get(file) ?? splitSource(file.text);
  splits.set(file, split);
  return split;
}

/** Every import of a file; `target` is the file it leads to when the specifier is relative. */
function importsOf(file: SourceFile): { specifier: string; target: string | undefined; at: number }[] {
  const { code, codeAndStrings } = splitOf(file);
  return [STATIC_IMPORT, DYNAMIC_IMPORT].flatMap((pattern) =>
    [...codeAndStrings.matchAll(pattern)]
      .filter(({ 0: found, index }) => {
        const keyword = index + found.search(/\S/);
        return code[keyword] === codeAndStrings[keyword];
      })
      .map(({ 0: found, 2: specifier = '', index }) => ({
        specifier,
        target: specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : undefined,
        at: index + found.search(/\S/),
      })),
  );
}

function matches(
  file: SourceFile,
  text: string,
  pattern: RegExp,
  say: (found: RegExpMatchArray) => string | undefined,
): Offence[] {
  return [...text.matchAll(pattern)].flatMap((found) => {
    const message = say(found);
    return message === undefined ? [] : [offence(file, found.index + found[0].search(/\S/), message)];
  });
}

function offence(file: SourceFile, at: number, message: string): Offence {
  return { path: file.path, line: file.text.slice(0, at).split('\n').length, message };
}

function roomOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

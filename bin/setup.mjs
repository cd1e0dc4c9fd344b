// Makes a checkout ready to run: node_modules as package-lock.json says, dist as src says. `npm test`, `npm run demo`
// and the like start with it, so that a fresh clone needs no other step. It does only what is missing or out of date,
// says each thing it does in one line, and uses nothing but Node. Not published.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);
/** Modules of the command line that this many commands need are loaded by all. */
const SHARED_BY = 20;
/** Makes a script what Node makes of one before it runs it; bin/scripts.js calls the function. */
const WRAPPER = ['(function (exports, require, module, __filename, __dirname) {', '})'];
const stamps = at('node_modules', '.cache', 'vmdkit');

try {
  installPackages();
  await buildDist(process.argv.includes('--rebuild'));
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}

/** Runs `npm ci` unless the last one used this very lock file. Install scripts are not needed, so none is run. */
function installPackages() {
  const wanted = fingerprint(['package-lock.json']);
  if (stampOf('install') === wanted) return;
  console.log('setup: installing packages (npm ci)');
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional'];
  const npm = process.env.npm_execpath;
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  run(npm ? process.execPath : 'npm', [...(npm ? [npm] : []), ...args, ...quiet], 'ignore');
  stamp('install', wanted);
}

/** Compiles src into a folder beside dist and swaps it in, so that nobody ever meets half a build. */
async function buildDist(always) {
  const sources = readdirSync(at('src'), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join('src', name))
    .sort();
  const wanted = fingerprint([
    ...sources,
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
    'package-lock.json',
    'bin/setup.mjs',
    'bin/scripts.js',
  ]);
  if (!always && existsSync(at('dist')) && stampOf('build') === wanted) return;
  console.log('setup: building dist (tsc)');
  const fresh = `dist-${process.pid}`;
  const old = `${fresh}-old`;
  try {
    const tsc = at('node_modules/typescript/bin/tsc');
    run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], 'inherit');
    await joinModules(at(fresh));
    run(process.execPath, [at('bin/keep-compiled.mjs'), fresh], 'inherit');
    if (existsSync(at('dist'))) renameSync(at('dist'), at(old));
    renameSync(at(fresh), at('dist'));
    stamp('build', wanted);
  } finally {
    rmSync(at(fresh), { recursive: true, force: true });
    rmSync(at(old), { recursive: true, force: true });
  }
}

/**
 * Joins the compiled modules into a few files: opening a hundred small files is half of what a short command costs. The
 * command line gets what most commands need in one file, and a file a command for the rest, as scripts that Node's
 * compiler can keep (see bin/scripts.js); the library, of which all is loaded at once, gets very few modules.
 * Declarations stay as they are.
 */
async function joinModules(folder) {
  const joined = `${folder}-joined`;
  const entries = publicEntries();
  const inputOf = (names) => Object.fromEntries(names.map((name) => [name, join(folder, `${name}.js`)]));
  // Serving and fixtures are not the library's to load, and what only reads loads only what reading takes.
  const isEntry = (id) => entries.some((name) => id === join(folder, `${name}.js`));
  const isApart = (id) => ['serve', 'fixture'].some((part) => id.startsWith(join(folder, part, '/')));
  const isLibrary = (id) => id.startsWith(folder) && !isEntry(id) && !isApart(id);
  const reading = importedBy(join(folder, 'read.js'));
  const library = [
    { name: 'reading', test: (id) => !isEntry(id) && reading.has(id) },
    { name: 'library', test: (id) => isLibrary(id) && !reading.has(id) },
  ];
  try {
    await joinInto(joined, inputOf(['cli/main']), 'cli/parts', 'cjs', [
      { name: 'core', minShareCount: SHARED_BY },
    ]);
    await joinInto(joined, inputOf(entries), 'parts', 'esm', library);
    await joinInto(joined, inputOf(['worker/deflate-thread']), 'parts', 'esm', []);
    // Its terms: they go where it goes.
    cpSync(at('node_modules/libdeflate/LICENSE.txt'), join(joined, 'worker/libdeflate.LICENSE.txt'));
    for (const name of readdirSync(folder, { recursive: true })) {
      if (/\.js(\.map)?$/.test(name)) rmSync(join(folder, name));
    }
    cpSync(joined, folder, { recursive: true });
  } finally {
    rmSync(joined, { recursive: true, force: true });
  }
}

/** The modules that `file` cannot do without, itself among them: what it imports, and what they import. */
function importedBy(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) .*from '(\..+)';$/gm)) {
    importedBy(join(dirname(file), name), found);
  }
  return found;
}

async function joinInto(dir, input, parts, format, groups) {
  const { rolldown } = await import('rolldown');
  // Dependencies that are found at run time; yargs' parser is small and is joined in.
  const external = ['koffi'];
  // Of packages only what is used: the parser's index would bring tables for the width of every character.
  const treeshake = { moduleSideEffects: (id) => !id.includes('node_modules') };
  // What is loaded late by one command and early by another is a part that both load, nothing to warn of.
  const checks = { ineffectiveDynamicImport: false };
  const bundle = await rolldown({ input, platform: 'node', external, treeshake, checks, logLevel: 'warn' });
  const ending = format === 'cjs' ? 'cjs' : 'js';
  const { output } = await bundle.write({
    dir,
    format,
    entryFileNames: `[name].${ending}`,
    chunkFileNames: `${parts}/[name]-[hash].${ending}`,
    codeSplitting: { groups },
    // Node refuses `import()` in scripts that it has not loaded itself.
    dynamicImportInCjs: false,
    sourcemap: true,
    // What has a name beyond a function keeps it, for stack traces; all else would only be read past at every start.
    minify: { compress: false, mangle: { toplevel: false }, codegen: { removeWhitespace: format === 'cjs' } },
  });
  await bundle.close();
  for (const { type, fileName } of output) {
    if (type === 'chunk') await finishScript(join(dir, fileName), format === 'cjs' ? WRAPPER : []);
  }
}

/**
 * Writes all other characters of a script as escapes, which mean the same in strings, templates and regular expressions.
 * A script with one such character takes twice the memory and is read at half the speed. `wrapper`: a line before the
 * script and one after.
 */
async function finishScript(file, [before, after]) {
  const { decode, encode } = await import('@jridgewell/sourcemap-codec');
  const lines = readFileSync(file, 'utf8').split('\n');
  const map = existsSync(`${file}.map`) ? JSON.parse(readFileSync(`${file}.map`, 'utf8')) : undefined;
  const mappings = map === undefined ? [] : decode(map.mappings);
  const beyond = /[^\0-\x7f]/g;
  for (const [index, line] of lines.entries()) {
    const places = [...line.matchAll(beyond)].map((match) => match.index);
    if (places.length === 0) continue;
    lines[index] = line.replace(beyond, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    for (const segment of mappings[index] ?? []) {
      segment[0] += 5 * places.filter((place) => place < segment[0]).length;
    }
  }
  if (before !== undefined) {
    lines.unshift(before);
    lines.push(after);
    mappings.unshift([]);
  }
  writeFileSync(file, lines.join('\n'));
  if (map !== undefined) writeFileSync(`${file}.map`, JSON.stringify({ ...map, mappings: encode(mappings) }));
}

/** What package.json lets others import: `./dist/fixture.js` is `fixture`. */
function publicEntries() {
  const { exports } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  return Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [] : [target.default.replace(/^\.\/dist\/|\.js$/g, '')],
  );
}

/** Names and contents of these files, as one hash: a checkout sets file times as it likes, so times say nothing. */
function fingerprint(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(at(file)));
  return hash.digest('hex');
}

function stampOf(step) {
  const file = join(stamps, step);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function stamp(step, value) {
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, step), value);
}

function run(command, args, stdout) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', stdout, 'inherit'],
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} failed`);
}

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
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);
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
  ]);
  if (!always && existsSync(at('dist')) && stampOf('build') === wanted) return;
  console.log('setup: building dist (tsc)');
  const fresh = `dist-${process.pid}`;
  const old = `${fresh}-old`;
  try {
    const tsc = at('node_modules/typescript/bin/tsc');
    run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], 'inherit');
    await joinModules(at(fresh));
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
 * command line gets one file a command and what they share; the library, of which all is loaded at once, very few.
 * Declarations stay as they are.
 */
async function joinModules(folder) {
  const joined = `${folder}-joined`;
  const entries = publicEntries();
  const inputOf = (names) => Object.fromEntries(names.map((name) => [name, join(folder, `${name}.js`)]));
  const isOurs = (id) => id.startsWith(folder) && !entries.some((name) => id === join(folder, `${name}.js`));
  try {
    await joinInto(joined, inputOf(['cli/main']), 'cli/parts', {});
    await joinInto(joined, inputOf(entries), 'parts', { groups: [{ name: 'library', test: isOurs }] });
    for (const name of readdirSync(folder, { recursive: true })) {
      if (/\.js(\.map)?$/.test(name)) rmSync(join(folder, name));
    }
    cpSync(joined, folder, { recursive: true });
  } finally {
    rmSync(joined, { recursive: true, force: true });
  }
}

async function joinInto(dir, input, parts, codeSplitting) {
  const { rolldown } = await import('rolldown');
  // Dependencies that are found at run time; yargs' parser is small and is joined in.
  const external = ['koffi'];
  // Of packages only what is used: the parser's index would bring tables for the width of every character.
  const treeshake = { moduleSideEffects: (id) => !id.includes('node_modules') };
  const bundle = await rolldown({ input, platform: 'node', external, treeshake, logLevel: 'warn' });
  await bundle.write({
    dir,
    format: 'esm',
    chunkFileNames: `${parts}/[name]-[hash].js`,
    codeSplitting,
    sourcemap: true,
    // Names stay for stack traces; comments and indentation would only be read past at every start.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
  await bundle.close();
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

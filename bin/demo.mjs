// The main job on real data, with nothing but the command line: eight linked clones of a base disk, a write into one
// of them, and the proof that the base did not change. Each command is printed before its output, so that a reader can
// repeat it. Not published.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('vmdkit.js', import.meta.url));
const maker = fileURLToPath(new URL('../fixtures/make-base.js', import.meta.url));
const golden = fileURLToPath(new URL('../fixtures/base.sha256', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-demo-'));
const base = join(folder, 'golden', 'base.vmdk');
/** Sector 2337 is where HOSTNAME.TXT lies on the base's FAT partition. */
const hostname = ['--start', '2337s', '--length', '12'];

mkdirSync(join(folder, 'golden'));
// The fixtures ship the disk as what makes it and its hash.
spawnSync(process.execPath, [maker, base], { stdio: ['ignore', 'ignore', 'inherit'] });
const before = sha256(base);
if (before !== readFileSync(golden, 'utf8').slice(0, 64))
  fail('the base is not the one that the fixtures ship');

say('A base disk, as a template would be: 64 MiB with one FAT partition.');
vmdkit('info', 'golden/base.vmdk');

say('Eight linked clones. The plan first: names, files and space, nothing made.');
const clone = ['clone', 'golden/base.vmdk', '--into', 'clones', '--count', '8', '--name', 'web-{n:02}'];
vmdkit(...clone, '--dry-run');
say('Then for real.');
vmdkit(...clone);

say('Give clone 3 a name of its own, inside its file HOSTNAME.TXT.');
writeFileSync(join(folder, 'hostname.txt'), 'web-03      ');
vmdkit('write', 'clones/web-03.vmdk', '--offset', '2337s', 'hostname.txt');

say('The chain of that clone: its own delta on top, the shared base below.');
vmdkit('chain', 'clones/web-03.vmdk');

say('Which link answers what: one grain comes from the clone, all else from the base.');
vmdkit('map', 'clones/web-03.vmdk');

say('What a guest reads there: in clone 3, in clone 4, in the base.');
for (const disk of ['clones/web-03.vmdk', 'clones/web-04.vmdk', 'golden/base.vmdk']) {
  // Through a pipe: the bytes of a disk do not go to a terminal.
  vmdkitInto('| cat', 'cat', disk, ...hostname);
}

say('Sound from top to bottom?');
vmdkit('check', 'clones/web-03.vmdk', '--chain');

const after = sha256(base);
console.log(`\nSHA-256 of the base before  ${before}\nSHA-256 of the base after   ${after}`);
if (after !== before) fail('the base has changed');
console.log('The base did not change.');
console.log(`\nAll of it is in ${folder}: look around, remove it when you are done.`);
console.log(`To try the commands yourself: alias vmdkit='node ${command}'`);

function say(text) {
  console.log(`\n# ${text}`);
}

function vmdkit(...args) {
  console.log(`$ vmdkit ${args.map(quoted).join(' ')}`);
  run(args, 'inherit');
}

function vmdkitInto(pipe, ...args) {
  console.log(`$ vmdkit ${args.map(quoted).join(' ')} ${pipe}`);
  console.log(run(args, 'pipe'));
}

/** What it printed, when that goes into a pipe. */
function run(args, output) {
  const stdio = ['inherit', output, 'inherit'];
  const { status, stdout, error } = spawnSync(process.execPath, [command, ...args], { cwd: folder, stdio });
  if (error) throw error;
  if (status !== 0) fail(`vmdkit ended with exit code ${status}`);
  return String(stdout);
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`;
}

function sha256(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function fail(why) {
  console.error(`demo: ${why} (see ${folder})`);
  process.exit(1);
}

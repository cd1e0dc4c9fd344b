// Keeps what Node's compiler makes of the command line's scripts beside them: runs the commands that are quick by nature,
// so that what they need is compiled, then writes it down. Called by setup.mjs on a folder that is not in use yet. Not
// published.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Writable } from 'node:stream';
import { scriptsIn } from './scripts.js';

const kept = [];
const { main } = scriptsIn(resolve(process.argv[2], 'cli'), (...script) => kept.push(script))('./main.cjs');
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-setup-'));
const [base, leaf] = ['base.vmdk', 'leaf.vmdk'].map((name) => join(folder, name));

try {
  await run('create', base, '16M');
  await run('clone', base, '--into', folder, '--name', 'leaf');
  for (const command of ['info', 'chain', 'map', 'check']) {
    for (const form of [[], ['--json']]) await run(command, leaf, ...form);
  }
  await run('cat', leaf);
  await run('hash', leaf);
  await run('serve', leaf, '--exec', 'true');
  await run('compare', base, leaf);
  await run('convert', leaf, join(folder, 'whole.raw'));
  await run('convert', leaf, join(folder, 'stream.vmdk'), '-O', 'streamOptimized');
  for (const [script, file] of kept) writeFileSync(file, script.createCachedData());
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function run(...args) {
  const silent = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  const code = await main([...args, '--quiet'], {
    stdin: process.stdin,
    stdout: silent(),
    stderr: process.stderr,
  });
  if (code !== 0) throw new Error(`vmdkit ${args.join(' ')} ended with ${code}`);
}

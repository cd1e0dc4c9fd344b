// What is compared with what: each case gives the peer's work and ours as functions that run to their end.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { conversions } from './conversions.js';
import { leafOf, run } from './images.js';
import { makeMachine } from './machine.js';
import { planOf } from './plan.js';
import { seeded } from './seeded.js';
import { servedCases } from './serving.js';
import { commit, compact, writes } from './upkeep.js';

const job = fileURLToPath(new URL('job.js', import.meta.url));
const floor = fileURLToPath(new URL('floor.js', import.meta.url));
const command = fileURLToPath(new URL('../bin/vmdkit.js', import.meta.url));
const node = process.execPath;
const READS = 10_000;
/** What any of our commands takes at the least. */
const start = () => run(node, ['-e', '0']);

/** All cases over the images in `folder`. `target` is the least ratio (peer's time over ours) that is asked for. */
export async function benchCases(folder, sizeMiB) {
  const plans = {};
  for (const depth of [1, 2, 8, 32]) plans[depth] = await planOf(leafOf(folder, depth));
  const bytes = sizeMiB * 2 ** 20;
  const random = seeded(7);
  const reads = Array.from(
    { length: READS },
    () => `read -q ${Math.floor(random() * (bytes / 4096)) * 4096} 4k\n`,
  );
  const commands = `${reads.join('')}quit\n`;
  const sequential = (depth, target) => ({
    title: `read a chain of ${depth} to nothing`,
    target,
    peer: () =>
      run('qemu-img', [
        'convert',
        '-n',
        '--target-image-opts',
        leafOf(folder, depth),
        `driver=null-co,size=${bytes}`,
      ]),
    ours: () => run(node, [job, 'read', leafOf(folder, depth)]),
    least: () => run(node, [floor, 'pieces', plans[depth]]),
  });
  const scattered = (depth, target) => ({
    title: `10,000 random reads of 4 KiB, depth ${depth}`,
    target,
    peer: () => run('qemu-io', ['-r', '-f', 'vmdk', leafOf(folder, depth)], commands),
    ours: () => run(node, [job, 'random', leafOf(folder, depth)]),
    least: () => run(node, [floor, 'random', leafOf(folder, 1)]),
  });
  const map = (depth, target) => ({
    title: `map as JSON, depth ${depth}`,
    target,
    peer: () => run('qemu-img', ['map', '--output', 'json', leafOf(folder, depth)]),
    ours: () => run(node, [command, 'map', '--json', leafOf(folder, depth)]),
    least: start,
  });
  return [
    sequential(1, 1.5),
    sequential(2, 2.5),
    sequential(8, 3.5),
    sequential(32, 6),
    scattered(1, 3),
    scattered(2, 5),
    scattered(8, 15),
    scattered(32, 40),
    map(1, 0.5),
    map(32, 5),
    {
      title: 'check a sparse disk (against the bare start of node)',
      target: 0.5,
      starts: false,
      peer: start,
      ours: () => run(node, [command, 'check', leafOf(folder, 1)]),
    },
    hashes(folder, 'what is data', ['--sparse-only'], dataBytes, 0.8),
    hashes(folder, 'the whole content', [], () => bytes, 0.8),
    siblings(folder, 32, 30),
    ...conversions(folder, plans),
    writes(folder, sizeMiB, 1, 5),
    writes(folder, sizeMiB, 32, 10),
    commit(folder, 1),
    compact(folder, 1),
    clones(folder, 1, 0),
    clones(folder, 100, 5),
    clones(folder, 1000, 8),
    ...servedCases(folder),
    machines(folder, 1000, 4),
  ];
}

/** SHA-256 against bare node:crypto over as many bytes from memory, which reads nothing. */
function hashes(folder, what, options, bytesOf, target) {
  const disk = leafOf(folder, 1);
  return {
    title: `hash ${what} of a sparse disk (against node:crypto over as many bytes from memory)`,
    target,
    starts: false,
    prepare: () => bytesOf(disk),
    peer: () => run(node, [job, 'sha256', String(bytesOf(disk))]),
    ours: () => run(node, [command, 'hash', disk, ...options]),
  };
}

const known = new Map();

/** What of `disk` is data, by qemu-img; asked once. */
function dataBytes(disk) {
  if (!known.has(disk)) {
    const runs = JSON.parse(String(run('qemu-img', ['map', '--output', 'json', disk]).stdout));
    known.set(
      disk,
      runs.reduce((sum, { data, length }) => sum + (data ? length : 0), 0),
    );
  }
  return known.get(disk);
}

/** Two leaves of equal content on one chain: their own grains have to be read, all else is one and the same. */
function siblings(folder, depth, target) {
  const leaf = leafOf(folder, depth);
  const other = join(folder, 'sibling.vmdk');
  copyFileSync(leaf, other);
  return {
    title: `compare two siblings of ${depth} links, equal in content`,
    target,
    peer: () => run('qemu-img', ['compare', '-f', 'vmdk', '-F', 'vmdk', leaf, other]),
    ours: () => run(node, [command, 'compare', leaf, other]),
    least: start,
  };
}

/** Deltas of a base, each durable on our side; the peer syncs nothing. */
function clones(folder, count, target) {
  const into = join(folder, 'clones');
  const base = leafOf(folder, 1);
  const loop = `for n in $(seq ${count}); do qemu-img create -q -f vmdk -b "$1" -F vmdk "$2/$n.vmdk"; done`;
  const fresh = () => {
    rmSync(into, { recursive: true, force: true });
    mkdirSync(into);
  };
  return {
    title: `make ${count} clone${count === 1 ? '' : 's'}, each durable`,
    target,
    prepare: fresh,
    peer: () => run('sh', ['-c', loop, 'sh', base, into]),
    ours: () => run(node, [command, 'clone', base, '--into', into, '--count', String(count), '-q']),
  };
}

/**
 * Clones of a machine with three disks, each with its .vmx, .vmsd, nvram and identity, durable on our side. The peer
 * makes the deltas alone, in a folder for each clone, and copies the small files as they are; it syncs nothing.
 */
function machines(folder, count, target) {
  const machine = makeMachine(join(folder, 'machine'));
  const into = join(folder, 'machine/clones');
  const loop = `for n in $(seq ${count}); do mkdir "$2/$n"; cp "$1/golden.vmx" "$1/golden.nvram" "$2/$n"
    for d in golden golden_1 golden_2; do qemu-img create -q -f vmdk -b "$1/$d.vmdk" -F vmdk "$2/$n/$d.vmdk"; done; done`;
  const fresh = () => {
    rmSync(into, { recursive: true, force: true });
    mkdirSync(into);
  };
  const args = ['clone', machine.vmx, '--into', into, '--count', String(count), '-q'];
  return {
    title: `make ${count} clones of a machine with three disks, each durable`,
    target,
    prepare: fresh,
    peer: () => run('sh', ['-c', loop, 'sh', machine.folder, into]),
    ours: () => run(node, [command, ...args]),
  };
}

// What is compared with what: each case gives the peer's work and ours as functions that run to their end.
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leafOf, run } from './images.js';
import { makeMachine } from './machine.js';
import { planOf } from './plan.js';
import { seeded, text } from './seeded.js';
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
    toRaw(folder, 'a sparse disk', 1, plans, 1.8),
    toRaw(folder, 'a chain of 32', 32, plans, 4),
    fromRaw(folder, 1),
    ...streams(folder),
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

/**
 * Takes as much of the page cache as a run fills and gives it back. Memory that nobody used for a while can take many
 * times as long to get (the host of a virtual machine takes it away), and whoever comes first would pay for it.
 */
function warmMemory(folder) {
  const path = join(folder, 'warm.out');
  const piece = Buffer.alloc(1 << 20, 1);
  const bytes = 1.25 * statSync(leafOf(folder, 1)).size;
  const file = openSync(path, 'w');
  for (let at = 0; at < bytes; at += piece.length) writeSync(file, piece);
  closeSync(file);
  rmSync(path);
}

/** Whole conversions. Neither side waits for the disk, or the disk would be what is measured; the command does wait. */
function conversion(folder, title, from, type, target, { prepare = () => {}, raw = false, least } = {}) {
  const [theirs, ours, bare] = ['theirs.out', 'ours.out', 'bare.out'].map((name) => join(folder, name));
  const format = type === 'raw' ? ['-O', 'raw'] : ['-O', 'vmdk', '-o', `subformat=${type}`];
  return {
    title: `convert ${title}`,
    target,
    prepare: () => {
      prepare();
      for (const path of [theirs, ours, bare]) rmSync(path, { force: true });
      // What the runs before left to be written would be waited for in this one.
      run('sync', []);
      warmMemory(folder);
    },
    peer: () => run('qemu-img', ['convert', '-f', raw ? 'raw' : 'vmdk', ...format, from, theirs]),
    ours: () => run(node, [job, 'convert', from, ours, type, raw ? 'raw' : 'vmdk']),
    least: least && (() => least(bare)),
    done: () => [theirs, ours, bare].forEach((path) => rmSync(path, { force: true })),
  };
}

function toRaw(folder, title, depth, plans, target) {
  const least = (out) => run(node, [floor, 'pieces', plans[depth], out]);
  return conversion(folder, `${title} to raw`, leafOf(folder, depth), 'raw', target, { least });
}

function fromRaw(folder, target) {
  const path = join(folder, 'whole.raw');
  const prepare = () => {
    if (!existsSync(path)) run('qemu-img', ['convert', '-O', 'raw', leafOf(folder, 1), path]);
  };
  const title = 'a raw file to monolithicSparse';
  return conversion(folder, title, path, 'monolithicSparse', target, { prepare, raw: true });
}

/**
 * Compression takes its time: 128 MiB of text, level 6 on both sides. A stream is read much faster than it is made, so
 * that four times as much is read; it is made at level 1.
 */
function streams(folder) {
  const [raw, large, stream] = ['small.raw', 'large.raw', 'large.vmdk'].map((name) => join(folder, name));
  const make = () => {
    if (existsSync(stream)) return;
    const piece = text();
    for (const [path, count] of [
      [raw, 128],
      [large, 512],
    ]) {
      const file = openSync(path, 'w');
      for (let at = 0; at < count; at++) {
        piece.write(String(at));
        writeSync(file, piece);
      }
      closeSync(file);
    }
    const options = ['--from', 'raw', '-O', 'streamOptimized', '--level', '1', '-q'];
    run(node, [command, 'convert', large, stream, ...options]);
    rmSync(large);
  };
  // Half of the work: what two cores take at the least.
  const half = (what, mebibytes) => ({
    prepare: make,
    least: (out) => run(node, [floor, what, String(mebibytes / 2), out]),
  });
  return [
    conversion(folder, 'a stream of 512 MiB to raw', stream, 'raw', 2.2, half('inflate', 512)),
    conversion(folder, 'to streamOptimized, 128 MiB', raw, 'streamOptimized', 2.5, {
      ...half('deflate', 128),
      raw: true,
    }),
  ];
}

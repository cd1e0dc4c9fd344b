// Whole conversions. Neither side waits for the disk, or the disk would be what is measured: qemu-img never does, and our
// command is told not to.
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { leafOf, run } from './images.js';
import { writeMixed } from './mixed.js';

const floor = fileURLToPath(new URL('floor.js', import.meta.url));
const command = fileURLToPath(new URL('../bin/vmdkit.js', import.meta.url));
const node = process.execPath;
const MEBIBYTE = 2 ** 20;
/** MiB. A stream is read much faster than it is made, so that more is read. */
const TO_STREAM = 128;
const FROM_STREAM = 512;

/** The cases over the images in `folder`; `plans` are those of the chains, by depth. */
export function conversions(folder, plans) {
  return [
    toRaw(folder, 'a sparse disk', 1, plans, 1.8),
    toRaw(folder, 'a chain of 32', 32, plans, 4),
    fromRaw(folder, 1),
    fromStream(folder, 2.2),
    toStream(folder, 2.5),
  ];
}

function toRaw(folder, title, depth, plans, target) {
  const least = (out) => run(node, [floor, 'pieces', plans[depth], out]);
  return conversion(folder, `${title} to raw`, leafOf(folder, depth), 'raw', target, { depth, least });
}

function fromRaw(folder, target) {
  const path = join(folder, 'whole.raw');
  const prepare = () => {
    if (!existsSync(path)) run('qemu-img', ['convert', '-O', 'raw', leafOf(folder, 1), path]);
  };
  const title = 'a raw file to monolithicSparse';
  return conversion(folder, title, path, 'monolithicSparse', target, { prepare, raw: true });
}

/** Made at level 1: what a stream holds takes as long to inflate, and less to make. */
function fromStream(folder, target) {
  const [raw, stream, deflated, plan] = ['mixed.raw', 'mixed.vmdk', 'mixed.zlib', 'mixed.plan.json'].map(
    (name) => join(folder, name),
  );
  const prepare = () => {
    if (existsSync(stream)) return;
    writeMixed(raw, FROM_STREAM);
    run(node, [
      command,
      'convert',
      raw,
      stream,
      '--from',
      'raw',
      '-O',
      'streamOptimized',
      '--level',
      '1',
      '-q',
    ]);
    // Half of the work: what two cores take at the least.
    writeFileSync(plan, JSON.stringify({ file: deflated, lengths: deflate(raw, FROM_STREAM / 2, deflated) }));
    rmSync(raw);
  };
  const least = (out) => run(node, [floor, 'inflate', plan, out]);
  const title = `a stream of ${FROM_STREAM} MiB to raw`;
  return conversion(folder, title, stream, 'raw', target, { prepare, least });
}

/** Level 6 on both sides. */
function toStream(folder, target) {
  const raw = join(folder, 'small.raw');
  const prepare = () => {
    if (!existsSync(raw)) writeMixed(raw, TO_STREAM);
  };
  // Half of the work, as above.
  const least = () => run(node, [floor, 'deflate', raw, String((TO_STREAM / 2) * MEBIBYTE)]);
  const title = `to streamOptimized, ${TO_STREAM} MiB`;
  return conversion(folder, title, raw, 'streamOptimized', target, { prepare, raw: true, least });
}

/** A zlib stream for each of the first mebibytes of `path`, one behind the other in `target`; returns their lengths. */
function deflate(path, mebibytes, target) {
  const content = readFileSync(path);
  const out = openSync(target, 'w');
  const lengths = Array.from({ length: mebibytes }, (_, index) => {
    const piece = content.subarray(index * MEBIBYTE, (index + 1) * MEBIBYTE);
    return writeSync(out, deflateSync(piece, { level: 1 }));
  });
  closeSync(out);
  return lengths;
}

function conversion(
  folder,
  title,
  from,
  type,
  target,
  { prepare = () => {}, depth = 1, raw = false, least },
) {
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
      warmMemory(folder, depth);
    },
    peer: () => run('qemu-img', ['convert', '-f', raw ? 'raw' : 'vmdk', ...format, from, theirs]),
    ours: () =>
      run(node, [
        command,
        'convert',
        from,
        ours,
        '-O',
        type,
        '--from',
        raw ? 'raw' : 'vmdk',
        '--no-sync',
        '-q',
      ]),
    least: least && (() => least(bare)),
    done: () => [theirs, ours, bare].forEach((path) => rmSync(path, { force: true })),
  };
}

/**
 * Takes as much of the page cache as all links of a chain fill, and a quarter more, and gives it back. Memory that nobody
 * used for a while can take many times as long to get (the host of a virtual machine takes it away), and whoever comes
 * first would pay for it.
 */
function warmMemory(folder, depth) {
  const path = join(folder, 'warm.out');
  const piece = Buffer.alloc(MEBIBYTE, 1);
  const links = Array.from({ length: depth }, (_, index) => statSync(leafOf(folder, index + 1)).size);
  const bytes = 1.25 * links.reduce((sum, size) => sum + size, 0);
  const file = openSync(path, 'w');
  for (let at = 0; at < bytes; at += piece.length) writeSync(file, piece);
  closeSync(file);
  rmSync(path);
}

// The disks that are measured: one sparse disk by qemu-img, and a chain of deltas over it with scattered grains.
// Seeded, so that every run measures the same bytes.
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createDelta, openChain } from '../dist/index.js';
import { seeded } from './seeded.js';

const GRAIN_SECTORS = 128;
const GRAINS_PER_DELTA = 600;

/** Runs a command to its end. @throws Error with what it printed, when it fails. */
export function run(command, args, input) {
  const result = spawnSync(command, args, { input, maxBuffer: 1 << 30 });
  if (result.status === 0) return result;
  throw new Error(`${command} ${args.join(' ')} failed: ${result.error ?? result.stderr}`);
}

/** Makes `base.vmdk` (`sizeMiB` virtual, about 30 % of it data) and `delta1.vmdk` … up to `depth` links. */
export async function makeImages(folder, sizeMiB, depth) {
  const random = seeded(5);
  const raw = join(folder, 'base.raw');
  const base = join(folder, 'base.vmdk');
  const block = Buffer.alloc(8 << 20);
  for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  const file = openSync(raw, 'w');
  ftruncateSync(file, sizeMiB * 2 ** 20);
  for (let at = 0; at < sizeMiB * 2 ** 20;) {
    const length = Math.min((64 << 10) << Math.floor(random() * 8), sizeMiB * 2 ** 20 - at);
    writeSync(file, block, 0, length, at);
    at += length + Math.floor((length * (0.5 + random() * 3.5)) / 65536) * 65536;
  }
  closeSync(file);
  run('qemu-img', ['convert', '-O', 'vmdk', raw, base]);
  rmSync(raw);
  const data = Buffer.from(block.subarray(0, GRAIN_SECTORS * 512));
  let parent = base;
  const grains = (sizeMiB * 2 ** 20) / data.length;
  for (let link = 1; link < depth; link++) {
    const path = join(folder, `delta${link}.vmdk`);
    await createDelta(path, parent, { durable: false });
    const chain = await openChain(path, 'update');
    for (let count = 0; count < GRAINS_PER_DELTA; count++) {
      await chain.write(Math.floor(random() * grains) * GRAIN_SECTORS, data);
    }
    await chain.close();
    parent = path;
  }
}

/** The leaf of the chain of `depth` links in `folder`. */
export function leafOf(folder, depth) {
  return join(folder, depth === 1 ? 'base.vmdk' : `delta${depth - 1}.vmdk`);
}

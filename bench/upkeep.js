// Cases that change disks: each side works on copies of its own, made anew where the work uses them up.
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leafOf, run } from './images.js';
import { seeded } from './seeded.js';

const command = fileURLToPath(new URL('../bin/vmdkit.js', import.meta.url));
const job = fileURLToPath(new URL('job.js', import.meta.url));
const node = process.execPath;

/** A delta of 600 grains into its base where that stands, ours durable. */
export function commit(folder, target) {
  const links = [leafOf(folder, 1), leafOf(folder, 2)];
  const placeOf = (side) => join(folder, `commit-${side}`);
  const delta = (side) => join(placeOf(side), basename(links[1]));
  return {
    title: 'commit a delta into its base, in place',
    target,
    prepare: (side) => {
      mkdirSync(placeOf(side), { recursive: true });
      for (const link of links) copyFileSync(link, join(placeOf(side), basename(link)));
      // Ours is durable: it must not wait for what the copies left to be written.
      run('sync', []);
    },
    peer: () => run('qemu-img', ['commit', '-q', '-f', 'vmdk', delta('peer')]),
    ours: () => run(node, [command, 'commit', delta('ours'), '--in-place', '-q']),
    done: () => ['peer', 'ours'].forEach((side) => rmSync(placeOf(side), { recursive: true, force: true })),
  };
}

/** Small writes into a new leaf over a chain: most copy a grain from below first. Each side flushes once, at the end. */
export function writes(folder, sizeMiB, depth, target) {
  const leafFor = (side) => join(folder, `leaf-${side}.vmdk`);
  const random = seeded(9);
  const places = Array.from({ length: 5000 }, () => Math.floor(random() * sizeMiB * 256) * 4096);
  const commands = `${places.map((at) => `write -q -P 0x5a ${at} 4k\n`).join('')}flush\nquit\n`;
  return {
    title: `5,000 copy-on-write writes of 4 KiB, depth ${depth + 1}`,
    target,
    prepare: (side) => {
      rmSync(leafFor(side), { force: true });
      const below = ['-b', leafOf(folder, depth), '-F', 'vmdk'];
      run('qemu-img', ['create', '-q', '-f', 'vmdk', ...below, leafFor(side)]);
      run('sync', []);
    },
    peer: () => run('qemu-io', ['-f', 'vmdk', leafFor('peer')], commands),
    ours: () => run(node, [job, 'write', leafFor('ours')]),
    done: () => ['peer', 'ours'].forEach((side) => rmSync(leafFor(side), { force: true })),
  };
}

/** What the peer has for it is a copy to a new disk, without syncing it. */
export function compact(folder, target) {
  const disk = join(folder, 'compact.vmdk');
  const copy = join(folder, 'compact.out');
  return {
    title: 'compact a sparse disk (against qemu-img convert to a new one)',
    target,
    prepare: () => {
      rmSync(copy, { force: true });
      if (!existsSync(disk)) copyFileSync(leafOf(folder, 1), disk);
    },
    peer: () => run('qemu-img', ['convert', '-O', 'vmdk', disk, copy]),
    ours: () => run(node, [command, 'compact', disk, '-q']),
    done: () => [disk, copy].forEach((path) => rmSync(path, { force: true })),
  };
}

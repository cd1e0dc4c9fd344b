// Serving over NBD: the same client against us, qemu-nbd, and nbdkit with a raw file, which is what the protocol costs
// at the least. Whole servers are measured, from their start to their end.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leafOf, makeImages, run } from './images.js';

const command = fileURLToPath(new URL('../bin/vmdkit.js', import.meta.url));
const COPY = 'nbdcopy "$uri" null:';
/** Steps that are no power of two scatter the reads over the whole disk. */
const READS = 'qemu-img bench -f raw -c 10000 -d 16 -s 4096 -S 12345344 "$uri"';
const QEMU = `qemu-nbd -r -t -e 8 -k "$2/q.sock" -f vmdk "$1" & server=$!
  while [ ! -S "$2/q.sock" ]; do sleep 0.01; done
  uri="nbd+unix:///?socket=$2/q.sock"; eval "$3"; code=$?
  kill "$server"; wait "$server"; rm -f "$2/q.sock"; exit $code`;

/** About 1 GiB of data in a disk, and a chain of 32 over it; the disk as a raw file as well. */
export async function makeServedImages(folder, quick) {
  const images = join(folder, 'served');
  mkdirSync(images);
  await makeImages(images, quick ? 256 : 3072, 32);
  run('qemu-img', ['convert', '-O', 'raw', leafOf(images, 1), join(images, 'base.raw')]);
}

export function servedCases(folder) {
  const images = join(folder, 'served');
  if (!existsSync(images)) return [];
  const qemu = (depth, work) => run('sh', ['-c', QEMU, 'sh', leafOf(images, depth), images, work]);
  const kit = (work) => run('nbdkit', ['-r', '-U', '-', 'file', join(images, 'base.raw'), '--run', work]);
  const ours = (depth, work) =>
    run(process.execPath, [command, 'serve', leafOf(images, depth), '--exec', work]);
  const against = (title, depth, work, target) => ({
    title: `serve ${title}, depth ${depth}, against qemu-nbd`,
    target,
    peer: () => qemu(depth, work),
    ours: () => ours(depth, work),
  });
  const copy = '1 GiB to nbdcopy';
  const reads = '10,000 random reads of 4 KiB, 16 in flight';
  return [
    against(copy, 1, COPY, 3),
    against(copy, 32, COPY, 15),
    {
      title: `serve ${copy}, against nbdkit with a raw file`,
      target: 0.62,
      peer: () => kit(COPY),
      ours: () => ours(1, COPY),
    },
    against(reads, 1, READS, 1.3),
    against(reads, 32, READS, 8),
  ];
}

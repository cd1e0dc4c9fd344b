// What is measured of the library, each in a process of its own: `node bench/job.js JOB DISK`, or
// `node bench/job.js sha256 BYTES`.
import { copySectors, createNodeFileStore, openChain } from '../dist/read.js';
import { seeded } from './seeded.js';

const READS = 10_000;
const WRITES = 5_000;
const [job, path] = process.argv.slice(2);
if (job === 'sha256') {
  // As many bytes as are asked for, from memory: what hashing costs when nothing has to be read.
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const piece = Buffer.alloc(1 << 20, 1);
  for (let left = Number(path); left > 0; left -= piece.length) hash.update(piece.subarray(0, left));
  hash.digest();
  process.exit();
}
if (job === 'write') {
  // 4 KiB each, into grains that the leaf mostly lacks; durable once, at the end.
  const fs = createNodeFileStore({ reads: 'sync', lookUps: 'sync' });
  const chain = await openChain(path, 'update', { fs });
  const random = seeded(9);
  const data = Buffer.alloc(4096, 0x5a);
  for (let count = 0; count < WRITES; count++) {
    await chain.write(Math.floor(random() * Math.floor(chain.capacity / 8)) * 8, data);
  }
  await chain.flush();
  await chain.close();
  process.exit();
}
// One job in a process of its own: nothing else waits while a read blocks.
const chain = await openChain(path, 'read', { fs: createNodeFileStore({ reads: 'sync' }) });
if (job === 'read') {
  await copySectors(chain, () => undefined);
} else if (job === 'random') {
  const random = seeded(7);
  const into = Buffer.alloc(4096);
  for (let count = 0; count < READS; count++) {
    await chain.read({ start: Math.floor(random() * Math.floor(chain.capacity / 8)) * 8, count: 8 }, into);
  }
}
await chain.close();

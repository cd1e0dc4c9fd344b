// What bare Node takes for the part of a job that nothing spares it, in a process of its own: no VMDK, no checks.
// `node bench/floor.js read FILE BYTES`, `random FILE`, `inflate MIB` or `deflate MIB`.
import { seeded, text } from './seeded.js';

const { openSync, readSync, fstatSync } = process.getBuiltinModule('node:fs');
const GRAIN_BYTES = 1 << 16;

const FLOORS = {
  /** As many bytes as a disk has data, from one file, from its beginning to its end and again. */
  read(path, bytes) {
    const file = openSync(path, 'r');
    const into = Buffer.allocUnsafe(1 << 18);
    for (let left = Number(bytes), at = 0; left > 0;) {
      const count = readSync(file, into, 0, into.length, at);
      at = count < into.length ? 0 : at + count;
      left -= count;
    }
  },

  /** As many small reads as the random case makes, at places in one file that are known. */
  random(path) {
    const file = openSync(path, 'r');
    const into = Buffer.alloc(4096);
    const places = Math.floor(fstatSync(file).size / into.length);
    const random = seeded(7);
    for (let count = 0; count < 10_000; count++) {
      readSync(file, into, 0, into.length, Math.floor(random() * places) * into.length);
    }
  },

  /** In one go: a stream for each grain would take a little more. */
  inflate(mebibytes) {
    const { deflateSync, inflateSync } = process.getBuiltinModule('node:zlib');
    const stream = deflateSync(text(), { level: 1 });
    for (let count = 0; count < mebibytes; count++) inflateSync(stream, { chunkSize: 1 << 18 });
  },

  deflate(mebibytes) {
    const { deflateSync } = process.getBuiltinModule('node:zlib');
    const data = text();
    for (let count = 0; count < mebibytes; count++) {
      for (let at = 0; at < data.length; at += GRAIN_BYTES) {
        deflateSync(data.subarray(at, at + GRAIN_BYTES), { level: 6, chunkSize: 2 * GRAIN_BYTES });
      }
    }
  },
};

const [what, ...args] = process.argv.slice(2);
FLOORS[what](...args);

// What bare Node takes for the part of a job that nothing spares it, in a process of its own: no VMDK, no checks.
// `node bench/floor.js pieces PLAN [TARGET]`, `random FILE`, `inflate MIB TARGET` or `deflate MIB`.
import { seeded, text } from './seeded.js';

const { openSync, readFileSync, readSync, fstatSync, writeSync } = process.getBuiltinModule('node:fs');
const GRAIN_BYTES = 1 << 16;
/** What a plan holds together at the most. */
const PIECE_BYTES = 1 << 20;

const FLOORS = {
  /** All that a disk reads as data, from the files that hold it, at places that are known; written to a new file where one is named. */
  pieces(plan, target) {
    const { files, pieces } = JSON.parse(readFileSync(plan, 'utf8'));
    const open = files.map((path) => openSync(path, 'r'));
    const out = target === undefined ? undefined : openSync(target, 'wx');
    const into = Buffer.allocUnsafeSlow(PIECE_BYTES);
    for (let at = 0, filled = 0; at < pieces.length; at += 4) {
      const length = pieces[at + 2];
      const end = pieces[at + 3];
      readSync(open[pieces[at]], into, filled, length, pieces[at + 1]);
      filled += length;
      if (end < 0) continue;
      if (out !== undefined) writeSync(out, into, 0, filled, end - filled);
      filled = 0;
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
  inflate(mebibytes, target) {
    const { deflateSync, inflateSync } = process.getBuiltinModule('node:zlib');
    const stream = deflateSync(text(), { level: 1 });
    const out = openSync(target, 'wx');
    for (let count = 0; count < mebibytes; count++) {
      writeSync(out, inflateSync(stream, { chunkSize: 1 << 18 }));
    }
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

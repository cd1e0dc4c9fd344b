// What bare Node takes for the part of a job that nothing spares it, in a process of its own: no VMDK, no checks.
// `node bench/floor.js pieces PLAN [TARGET]`, `random FILE`, `inflate PLAN TARGET` or `deflate FILE BYTES`.
import { seeded } from './seeded.js';

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

  /** Streams that lie one behind the other in a file, each as long as the plan says: one zlib state for each mebibyte. */
  inflate(plan, target) {
    const { inflateSync } = process.getBuiltinModule('node:zlib');
    const { file, lengths } = JSON.parse(readFileSync(plan, 'utf8'));
    const streams = openSync(file, 'r');
    const out = openSync(target, 'wx');
    const stored = Buffer.allocUnsafeSlow(Math.max(...lengths));
    for (const length of lengths) {
      readSync(streams, stored, 0, length, null);
      writeSync(out, inflateSync(stored.subarray(0, length), { chunkSize: PIECE_BYTES }));
    }
  },

  async deflate(path, bytes) {
    const { zlib } = await import('libdeflate');
    const file = openSync(path, 'r');
    const piece = Buffer.allocUnsafeSlow(GRAIN_BYTES);
    for (let at = 0; at < Number(bytes); at += piece.length) {
      readSync(file, piece, 0, piece.length, at);
      zlib(piece, 6);
    }
  },
};

const [what, ...args] = process.argv.slice(2);
await FLOORS[what](...args);

// Puts fixtures of the library for test authors where a test wants them: into a folder that is there already, on any
// store, without the answers beside them. A spec is made once for all tests of a worker.
import { posix } from 'node:path';
import { makeFixture } from '../../src/fixture/faults.ts';
import type { Fixture } from '../../src/fixture/make-fixture.ts';
import type { Fill, FixtureSpec } from '../../src/fixture/spec.ts';
import { stretchesOf } from '../../src/fixture/write-fixture.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import type { PagedBytes } from '../../src/storage/paged-bytes.ts';
import { storeFor } from '../../src/storage/promises-file-store.ts';

const made = new Map<string, Promise<Fixture>>();

/** Makes the files of `spec` in `folder`, and the folders in it that are missing. Without `fs` in the real file system. */
export async function placeFixture(spec: FixtureSpec, folder: string, fs?: FileStore): Promise<Fixture> {
  const key = JSON.stringify(spec);
  if (!made.has(key)) made.set(key, makeFixture(spec));
  const fixture = await made.get(key)!;
  const store = storeFor(fs);
  for (const [path, bytes] of fixture.files) {
    const target = posix.join(folder, path);
    await makeFolders(store, folder, posix.dirname(path));
    await writeOut(store, target, bytes);
  }
  return fixture;
}

/** `data` at byte `at`. */
export function fillBytes(at: number, data: Buffer): Fill {
  return { fill: 'bytes', at, hex: data.toString('hex') };
}

/** `length` bytes, all of them `byte`. */
export function fillByte(at: number, length: number, byte: number): Fill {
  return { fill: 'pattern', at, length, hex: byte.toString(16).padStart(2, '0') };
}

async function makeFolders(store: FileStore, folder: string, below: string): Promise<void> {
  if (below === '.') return;
  await makeFolders(store, folder, posix.dirname(below));
  const path = posix.join(folder, below);
  if (!(await store.exists(path))) await store.makeFolder(path);
}

async function writeOut(store: FileStore, path: string, bytes: PagedBytes): Promise<void> {
  const file = await store.create(path);
  try {
    await file.resize(bytes.size);
    for (const { start, length, data } of stretchesOf(bytes)) {
      if (!data) continue;
      const piece = Buffer.alloc(length);
      bytes.read(piece, start);
      await file.write(piece, start);
    }
  } finally {
    await file.close();
  }
}

// A chain and the plain Buffer it must equal: random work on both, and the files below the leaf must stay as they are.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { readMapped, wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { WritableChain } from '../../src/chain/writable-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';

export type Step =
  | { readonly do: 'write'; readonly at: number; readonly count: number; readonly seed: number }
  | { readonly do: 'zero'; readonly at: number; readonly count: number }
  | { readonly do: 'flush' }
  | { readonly do: 'reopen' }
  | { readonly do: 'delta'; readonly type: string; readonly grainSize: number | undefined };

export class ModelledChain {
  readonly #store: FileStore;
  readonly #folder: string;
  readonly content: Buffer;
  chain!: WritableChain;
  #links = 0;
  #frozen = new Map<string, string>();

  private constructor(store: FileStore, folder: string, capacity: Sectors) {
    this.#store = store;
    this.#folder = folder;
    this.content = Buffer.alloc(capacity * SECTOR_BYTES);
  }

  static async create(
    store: FileStore,
    folder: string,
    capacity: Sectors,
    base: CreateDiskOptions,
  ): Promise<ModelledChain> {
    const model = new ModelledChain(store, folder, capacity);
    await createDisk(model.path, bytes(capacity * SECTOR_BYTES), { ...base, fs: store });
    model.chain = await model.#open();
    return model;
  }

  /** The leaf. */
  get path(): string {
    return `${this.#folder}/link${this.#links}.vmdk`;
  }

  async apply(step: Step): Promise<void> {
    const capacity = this.chain.capacity;
    switch (step.do) {
      case 'write': {
        const at = step.at % capacity;
        const data = pattern(Math.min(step.count, capacity - at) * SECTOR_BYTES, step.seed);
        await this.chain.write(at as Sectors, data);
        this.content.set(data, at * SECTOR_BYTES);
        return;
      }
      case 'zero': {
        const at = step.at % capacity;
        const count = Math.min(step.count, capacity - at);
        await this.chain.zero({ start: at as Sectors, count: count as Sectors });
        this.content.fill(0, at * SECTOR_BYTES, (at + count) * SECTOR_BYTES);
        return;
      }
      case 'flush':
        return this.chain.flush();
      case 'reopen':
        await this.chain.close();
        this.chain = await this.#open();
        return;
      case 'delta': {
        await this.chain.close();
        const parent = this.path;
        this.#links++;
        await createDelta(this.path, parent, { fs: this.#store, type: step.type, grainSize: step.grainSize });
        this.chain = await this.#open();
        this.#frozen = await this.#filesBelow();
      }
    }
  }

  /** Contents by `read` and by `map` equal the model, and nothing below the leaf has changed. */
  async verify(): Promise<void> {
    const found = Buffer.alloc(this.content.length, 0xee);
    await this.chain.read(wholeOf(this.chain), found);
    expectSame(found, this.content, 'read');
    await readMapped(this.chain, wholeOf(this.chain), found.fill(0xee));
    expectSame(found, this.content, 'map');
    expect(await this.#filesBelow()).toEqual(this.#frozen);
  }

  #open(): Promise<WritableChain> {
    return openChain(this.path, 'update', { fs: this.#store });
  }

  async #filesBelow(): Promise<Map<string, string>> {
    const hashes = new Map<string, string>();
    for (const link of this.chain.links.slice(1)) {
      const files = [link.path, ...link.extents.flatMap(({ extent }) => extent.path ?? [])];
      for (const path of files) hashes.set(path, await hashFile(this.#store, path));
    }
    return hashes;
  }
}

export async function hashFile(store: FileStore, path: string): Promise<string> {
  const file = await store.open(path, 'read');
  try {
    const data = Buffer.alloc(await file.size());
    await file.readExactly(data, 0);
    return createHash('sha256').update(data).digest('hex');
  } finally {
    await file.close();
  }
}

/** Bytes that tell by themselves where they came from; some sectors are zero, as on real disks. */
export function pattern(length: number, seed: number): Buffer {
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; at += SECTOR_BYTES) {
    if ((seed + at / SECTOR_BYTES) % 7 === 0) continue;
    data.fill(((seed * 31 + at / SECTOR_BYTES) % 255) + 1, at, at + SECTOR_BYTES);
  }
  return data;
}

function expectSame(found: Buffer, expected: Buffer, how: string): void {
  if (found.equals(expected)) return;
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  const sector = Math.floor(at / SECTOR_BYTES);
  expect.fail(`${how}: sector ${sector} holds ${found[at]}, the model ${expected[at]}`);
}

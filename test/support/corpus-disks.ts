// The disks of the corpus, with what is recorded of each, and the proof that one reads as recorded.
import { createHash, type Hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { walkRuns, wholeOf } from '../../src/block/read-runs.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { createReadStream } from '../../src/block/streams.ts';
import type { Chain } from '../../src/chain/chain.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';

export interface CorpusFile {
  readonly name: string;
  readonly role: 'disk' | 'extent' | 'refused' | 'descriptor only';
  readonly note: string;
  readonly rawSha256?: string;
  readonly rawBytes?: number;
}

/** These are nearly all zeros; they are in a test file of their own, so that it runs beside the others. */
export const LARGE_BYTES = 512 * 2 ** 20;
/** To hash all zeros of larger ones takes a minute and a half: see `expectContentsAsRecorded`. */
export const HUGE_BYTES = 2 * 2 ** 30;

export function corpusFiles(corpus: string): readonly CorpusFile[] {
  const recorded = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as { files: CorpusFile[] };
  return recorded.files;
}

/** Reads every byte through the public stream, holes included. */
export async function expectAsRecorded(corpus: string, file: CorpusFile): Promise<void> {
  await expectHash(corpus, file, async (chain, hash) => {
    for await (const chunk of createReadStream(chain)) hash.update(chunk as Buffer);
  });
}

const ZEROS = Buffer.alloc(2 ** 20);

/** The same by the map: zeros are hashed as the map says them, and only data is read. Half the time for large disks. */
export async function expectMapAsRecorded(corpus: string, file: CorpusFile): Promise<void> {
  await expectHash(corpus, file, async (chain, hash) => {
    const room = Buffer.alloc(ZEROS.length);
    for await (const runs of walkRuns(chain, wholeOf(chain))) {
      for (const { start, count, state } of runs) {
        for (let done = 0; done < count; done += ZEROS.length / SECTOR_BYTES) {
          const part = sectorRange(start + done, Math.min(count - done, ZEROS.length / SECTOR_BYTES));
          const data = (state === 'data' ? room : ZEROS).subarray(0, part.count * SECTOR_BYTES);
          if (state === 'data') await chain.read(part, data);
          hash.update(data);
        }
      }
    }
  });
}

async function expectHash(
  corpus: string,
  file: CorpusFile,
  feed: (chain: Chain, hash: Hash) => Promise<void>,
): Promise<void> {
  const chain = await openChain(join(corpus, 'files', file.name), 'read');
  try {
    expect(chain.capacity * SECTOR_BYTES).toBe(file.rawBytes);
    const hash = createHash('sha256');
    await feed(chain, hash);
    expect(hash.digest('hex')).toBe(file.rawSha256);
  } finally {
    await chain.close();
  }
}

const CONTENTS = new URL('../../fixtures/corpus-contents.json', import.meta.url);
const BLOCK = 64 * 1024;

interface RecordedContents {
  readonly rawSha256: string;
  readonly contentsSha256: string;
}

/**
 * The hash of what a disk holds besides zeros is the one that stood beside its raw SHA-256 when both were taken of one
 * reading (`VMDKIT_WHOLE_HASHES=1`, as in CI, takes both again): whatever reads otherwise in one byte has another.
 */
export async function expectContentsAsRecorded(corpus: string, file: CorpusFile): Promise<void> {
  const recorded = JSON.parse(readFileSync(CONTENTS, 'utf8')) as Record<string, RecordedContents>;
  const chain = await openChain(join(corpus, 'files', file.name), 'read');
  try {
    expect(chain.capacity * SECTOR_BYTES).toBe(file.rawBytes);
    const found = { rawSha256: file.rawSha256, contentsSha256: await contentsHash(chain) };
    expect({ [file.name]: recorded[file.name] }).toEqual({ [file.name]: found });
  } finally {
    await chain.close();
  }
}

/** SHA-256 of each block of 64 KiB that is not all zeros, with its place before it, and of the size at the end. */
async function contentsHash(chain: Chain): Promise<string> {
  const hash = createHash('sha256');
  const sectors = BLOCK / SECTOR_BYTES;
  const block = Buffer.alloc(BLOCK);
  let next = 0;
  for await (const runs of walkRuns(chain, wholeOf(chain))) {
    for (const { start, count, state } of runs) {
      if (state !== 'data') continue;
      for (let at = Math.max(next, start - (start % sectors)); at < start + count; at += sectors) {
        const range = sectorRange(at, Math.min(sectors, chain.capacity - at));
        const data = block.subarray(0, range.count * SECTOR_BYTES);
        await chain.read(range, data);
        next = at + sectors;
        if (!data.equals(ZEROS.subarray(0, data.length))) hash.update(`${at} `).update(data);
      }
    }
  }
  return hash.update(`${chain.capacity}`).digest('hex');
}

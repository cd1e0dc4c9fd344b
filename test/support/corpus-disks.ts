// The disks of the corpus, with what is recorded of each, and the proof that one reads as recorded.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createReadStream } from '../../src/block/streams.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';

export interface CorpusFile {
  readonly name: string;
  readonly role: 'disk' | 'extent' | 'refused' | 'descriptor only';
  readonly note: string;
  readonly rawSha256?: string;
  readonly rawBytes?: number;
}

/** Hashing these takes minutes: they are in a test file of their own, so that it runs beside the others. */
export const LARGE_BYTES = 10 * 2 ** 30;

export function corpusFiles(corpus: string): readonly CorpusFile[] {
  const recorded = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as { files: CorpusFile[] };
  return recorded.files;
}

/** Reads every byte through the public stream, holes included. */
export async function expectAsRecorded(corpus: string, file: CorpusFile): Promise<void> {
  const chain = await openChain(join(corpus, 'files', file.name), 'read');
  try {
    expect(chain.capacity * SECTOR_BYTES).toBe(file.rawBytes);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(chain)) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(file.rawSha256);
  } finally {
    await chain.close();
  }
}

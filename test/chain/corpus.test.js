// Every real disk of the corpus reads as recorded; every refused one is a typed error.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createReadStream } from '../../src/block/streams.js';
import { openChain } from '../../src/chain/open-chain.js';
import { SECTOR_BYTES } from '../../src/core/units.js';
import { corpusFolder } from '../support/peer-tools.js';
const corpus = corpusFolder();
describe('real disks written by others', () => {
  if (corpus === undefined) {
    it('are read where the corpus is present (it is not here)', () => expect(corpus).toBeUndefined());
    return;
  }
  const { files } = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8'));
  for (const { name, rawSha256, rawBytes } of files.filter(({ role }) => role === 'disk')) {
    it(`reads ${name} as recorded`, { timeout: 300_000 }, async () => {
      const chain = await openChain(join(corpus, 'files', name), 'read');
      try {
        expect(chain.capacity * SECTOR_BYTES).toBe(rawBytes);
        expect(await hashSparse(chain)).toBe(rawSha256);
      } finally {
        await chain.close();
      }
    });
  }
  for (const { name } of files.filter(({ role }) => role === 'refused')) {
    it(`refuses ${name} with a typed error that names it`, async () => {
      await expect(openChain(join(corpus, 'files', name), 'read')).rejects.toMatchObject({
        name: 'VmdkError',
        message: expect.stringContaining(name),
      });
    });
  }
  for (const { name } of files.filter(({ role }) => role === 'descriptor only')) {
    it(`says which extent of ${name} is missing`, async () => {
      await expect(openChain(join(corpus, 'files', name), 'read')).rejects.toMatchObject({
        code: 'extent-missing',
      });
    });
  }
  for (const { name } of files.filter(({ role }) => role === 'extent')) {
    it(`names the descriptor that ${name} belongs to`, async () => {
      await expect(openChain(join(corpus, 'files', name), 'read')).rejects.toMatchObject({
        code: 'bare-extent',
        message: expect.stringContaining('Open its descriptor instead'),
      });
    });
  }
});
async function hashSparse(chain) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(chain)) hash.update(chunk);
  return hash.digest('hex');
}

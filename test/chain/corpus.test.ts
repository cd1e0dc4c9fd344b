// Every real disk of the corpus reads as recorded; every refused one is a typed error.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { corpusFiles, expectAsRecorded, LARGE_BYTES } from '../support/corpus-disks.ts';
import { corpusFolder } from '../support/peer-tools.ts';

const corpus = corpusFolder();

describe('real disks written by others', () => {
  if (corpus === undefined) {
    it('are read where the corpus is present (it is not here)', () => expect(corpus).toBeUndefined());
    return;
  }
  const files = corpusFiles(corpus);

  for (const file of files.filter(({ role, rawBytes }) => role === 'disk' && rawBytes! < LARGE_BYTES)) {
    it(`reads ${file.name} as recorded`, { timeout: 300_000 }, () => expectAsRecorded(corpus, file));
  }

  for (const { name } of files.filter(({ role }) => role === 'refused')) {
    it(`refuses ${name} with a typed error that names it`, async () => {
      await expect(openChain(join(corpus, 'files', name), 'read')).rejects.toMatchObject({
        name: 'VmdkError',
        message: expect.stringContaining(name) as string,
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
        message: expect.stringContaining('Open its descriptor instead') as string,
      });
    });
  }
});

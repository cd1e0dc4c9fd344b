// Disks that others made, examined: nothing throws, nothing is called an error that is none, and what is hashed is what is
// recorded.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { hashBytes, wholeDisk } from '../../src/examine/hash-bytes.ts';
import { findSigns } from '../../src/examine/signs.ts';
import { findSlack } from '../../src/examine/slack.ts';
import { gatherEvidence } from '../../src/examine/evidence.ts';
import { whichLink } from '../../src/examine/which.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { corpusFiles } from '../support/corpus-disks.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

/** What is hashed here; larger ones are read in tests of their own. */
const MOST = 64 * 2 ** 20;

describeWithCorpus('the corpus, examined', (folder) => {
  const disks = corpusFiles(folder).filter(
    ({ role, rawSha256 }) => role === 'disk' && rawSha256 !== undefined,
  );

  it.each(disks)('$name', { timeout: 120_000 }, async ({ name, rawBytes = 0, rawSha256 }) => {
    const evidence = gatherEvidence(createNodeFileStore());
    const fs = evidence.store;
    const chain = await openChain(join(folder, 'files', name), 'read', { fs });
    try {
      const signs = await findSigns(fs, { chain });
      expect(signs.filter(({ severity }) => severity === 'error')).toEqual([]);
      const answer = await whichLink(chain, 0);
      expect(answer.links.filter(({ state }) => state === 'lost')).toEqual([]);
      const { damaged } = await findSlack(chain, { fs, onItem: () => Promise.resolve() });
      expect(damaged).toEqual([]);
      if (rawBytes <= MOST) {
        const { digests } = await hashBytes(wholeDisk(chain), ['sha256']);
        expect(digests.sha256).toBe(rawSha256);
      }
    } finally {
      await chain.close();
    }
    expect((await evidence.conclude()).filter(({ changed }) => changed)).toEqual([]);
  });
});

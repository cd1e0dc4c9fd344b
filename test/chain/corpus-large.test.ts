// The large real disks of the corpus read as recorded, every byte of them. Of huge ones the zeros are not hashed, unless
// VMDKIT_WHOLE_HASHES=1 asks for that, as .ci/run does.
import { describe, expect, it } from 'vitest';
import {
  corpusFiles,
  expectContentsAsRecorded,
  expectMapAsRecorded,
  HUGE_BYTES,
  LARGE_BYTES,
} from '../support/corpus-disks.ts';
import { corpusFolder } from '../support/peer-tools.ts';

const corpus = corpusFolder();
const wholeHashes = process.env['VMDKIT_WHOLE_HASHES'] === '1';

describe('large disks written by others', () => {
  if (corpus === undefined) {
    it('are read where the corpus is present (it is not here)', () => expect(corpus).toBeUndefined());
    return;
  }
  const large = corpusFiles(corpus).filter(
    ({ role, rawBytes }) => role === 'disk' && rawBytes! >= LARGE_BYTES,
  );
  for (const file of large) {
    it(`reads ${file.name} as recorded`, { timeout: 300_000 }, async () => {
      const huge = file.rawBytes! >= HUGE_BYTES;
      if (huge) await expectContentsAsRecorded(corpus, file);
      if (!huge || wholeHashes) await expectMapAsRecorded(corpus, file);
    });
  }
});

// The large real disks of the corpus read as recorded, every byte of them.
import { describe, expect, it } from 'vitest';
import { corpusFiles, expectMapAsRecorded, LARGE_BYTES } from '../support/corpus-disks.ts';
import { corpusFolder } from '../support/peer-tools.ts';

const corpus = corpusFolder();

describe('large disks written by others', () => {
  if (corpus === undefined) {
    it('are read where the corpus is present (it is not here)', () => expect(corpus).toBeUndefined());
    return;
  }
  const large = corpusFiles(corpus).filter(
    ({ role, rawBytes }) => role === 'disk' && rawBytes! >= LARGE_BYTES,
  );
  for (const file of large) {
    it(`reads ${file.name} as recorded`, { timeout: 300_000 }, () => expectMapAsRecorded(corpus, file));
  }
});

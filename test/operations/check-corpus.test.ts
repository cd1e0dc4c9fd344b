// Every disk that others made, under `check`: what is healthy has no error and no warning, what is not is found. The
// list of everything that is said is short enough to be read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

interface CorpusFile {
  readonly name: string;
  readonly role: 'disk' | 'extent' | 'refused' | 'descriptor only';
  readonly producer?: string;
}

/** `severity CODE` of everything found, or the code of the error that says why it cannot be checked. */
async function findings(path: string): Promise<string[]> {
  try {
    const { problems } = await checkDisk(path, { deep: true, chain: true });
    return [...new Set(problems.map(({ severity, code }) => `${severity} ${code}`))].sort();
  } catch (error) {
    if (isVmdkError(error)) return [error.code];
    throw error;
  }
}

/** Whether a flat file is one hole is up to how the corpus was copied. */
const UP_TO_THE_COPY = 'info HOLES';

describeWithCorpus('the corpus under check', (corpus) => {
  const { files } = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as {
    files: readonly CorpusFile[];
  };

  it('holds disks of many makers, all sound, without a word', async () => {
    const disks = files.filter(({ role }) => role === 'disk');
    const said = await Promise.all(
      disks.map(async ({ name }) => ({ name, found: await findings(join(corpus, 'files', name)) })),
    );
    expect(disks.length).toBeGreaterThan(40);
    expect(new Set(disks.map(({ producer }) => producer)).size).toBeGreaterThan(5);
    expect(said.filter(({ found }) => found.some((each) => each !== UP_TO_THE_COPY))).toEqual([]);
  });

  it('holds extents of such disks, checked by themselves as far as they say what they are', async () => {
    const extents = files.filter(({ role }) => role === 'extent');
    for (const { name } of extents) {
      const flat = /-(?:flat|f\d{3})\.vmdk$/.test(name);
      const expected = flat ? ['bare-extent'] : ['info DESC-ELSEWHERE'];
      expect({ name, found: await findings(join(corpus, 'files', name)) }).toEqual({ name, found: expected });
    }
  });

  it('holds descriptors whose extents are elsewhere, which is what is found', async () => {
    const alone = files.filter(({ role }) => role === 'descriptor only');
    for (const { name } of alone) {
      const found = await findings(join(corpus, 'files', name));
      expect({ name, found }).toEqual({ name, found: ['error EXT-MISSING'] });
    }
  });

  it('holds what is no disk, or a broken one: both are told', async () => {
    const refused = files.filter(({ role }) => role === 'refused');
    const said = await Promise.all(refused.map(({ name }) => findings(join(corpus, 'files', name))));
    expect(said.flat().sort()).toEqual(['error DESC-DAMAGED', 'not-a-vmdk', 'warning TAIL']);
  });
});

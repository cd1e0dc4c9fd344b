// `vmdkit info` on every real descriptor and disk: each is described, or refused with the reason.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeDisk } from '../../src/operations/describe-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { diskText } from '../../src/cli/describe-text.ts';
import { expectValid } from '../support/command.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

interface Recorded {
  readonly name: string;
  readonly role: string;
  readonly createType?: string;
  readonly virtualSize?: number;
  readonly CID?: string;
}

describeWithCorpus('info on real material', (corpus) => {
  const { files } = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as { files: Recorded[] };

  it.each(readdirSync(join(corpus, 'descriptors')))('describes the descriptor %s', async (name) => {
    const report = await describeDisk(join(corpus, 'descriptors', name));
    expectValid('info', report);
    expect(report.filename).toContain(name);
    expect(report['format-specific'].data.extents.length).toBeGreaterThan(0);
    const sectors = report['format-specific'].data.extents.map((extent) => extent['virtual-size'] / 512);
    expect(report['virtual-size']).toBe(512 * sectors.reduce((sum, count) => sum + count, 0));
    // Their extents were not kept: each says why it cannot be read.
    expect(report.reason?.message).toMatch(/\w/);
    expect(report.readable).toBe(false);
    const lines = diskText(report, (_, text) => text);
    expect(lines.join('\n')).not.toMatch(/undefined|NaN|\[object/);
  });

  it.each(files.filter(({ role }) => role === 'disk'))('describes the disk $name', async (recorded) => {
    const report = await describeDisk(join(corpus, 'files', recorded.name));
    expectValid('info', report);
    expect(report.readable).toBe(true);
    const { data } = report['format-specific'];
    if (recorded.createType !== undefined) expect(data['create-type']).toBe(recorded.createType);
    if (recorded.virtualSize !== undefined) expect(report['virtual-size']).toBe(recorded.virtualSize);
    if (recorded.CID !== undefined) expect(data.cid).toBe(Number.parseInt(recorded.CID, 16));
  });

  it.each(files.filter(({ role }) => role === 'extent'))(
    'names the descriptor of $name',
    async ({ name }) => {
      const failure: unknown = await describeDisk(join(corpus, 'files', name)).catch(
        (error: unknown) => error,
      );
      expect(isVmdkError(failure, 'bare-extent')).toBe(true);
    },
  );

  it.each(files.filter(({ role }) => role === 'refused'))('describes or refuses $name', async ({ name }) => {
    const outcome: unknown = await describeDisk(join(corpus, 'files', name)).catch((error: unknown) => error);
    if (outcome instanceof Error) expect(isVmdkError(outcome)).toBe(true);
    else expect(outcome).toMatchObject({ readable: false });
  });
});

// A disk in one file that was renamed by hand: the line of its descriptor still has the old name, which means nothing, since
// the file that holds the descriptor is its first extent.
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Sectors } from '../../src/core/units.ts';
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { BASE_BYTES, contentOf, datastore } from '../support/clone-bench.ts';
import { pattern } from '../support/chain-model.ts';

it.each([false, true])('takes what is committed into it, in place: %s', async (inPlace) => {
  const fs = await datastore('monolithicSparse');
  const [base, leaf] = ['/ds/golden/renamed.vmdk', '/ds/golden/leaf.vmdk'];
  await fs.rename('/ds/golden/golden.vmdk', base);
  await createDelta(leaf, base, { fs });
  const chain = await openChain(leaf, 'update', { fs });
  await chain.write(300 as Sectors, pattern(8 * 512, 9));
  await chain.close();
  const wanted = await contentOf(fs, leaf);
  expect(wanted).toHaveLength(BASE_BYTES);
  await commitDisk(leaf, { fs, inPlace });
  expect((await contentOf(fs, base)).equals(wanted)).toBe(true);
  expect((await contentOf(fs, leaf)).equals(wanted)).toBe(true);
});

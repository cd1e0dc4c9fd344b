// `vmdkit compare` and qemu-img compare give the same answer about the same disks, QEMU's and ours.
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { compareChains } from '../../src/operations/compare-chains.ts';
import { temporaryFolder } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

describeWithPeer(['qemu-img', 'qemu-io'], 'compare beside qemu-img', (peers) => {
  let folder: string;
  let remove: () => Promise<void>;
  let chain: SmallChain;

  beforeEach(async () => {
    ({ folder, remove } = await temporaryFolder());
    chain = await makeSmallChain(folder);
  });
  afterEach(() => remove());

  it('agrees on equal disks of two writers, and on the first byte that differs', async () => {
    const copy = join(folder, 'copy.vmdk');
    await peers['qemu-img'].ok([
      'convert',
      '-f',
      'vmdk',
      '-O',
      'vmdk',
      '-o',
      'subformat=monolithicFlat',
      chain.leaf,
      copy,
    ]);
    const answers = async (a: string, b: string): Promise<[number, string, boolean, number | undefined]> => {
      const { code, stdout } = await peers['qemu-img'].run(['compare', '-f', 'vmdk', '-F', 'vmdk', a, b]);
      const [left, right] = [await openChain(a, 'read'), await openChain(b, 'read')];
      const { equal, firstDifference } = await compareChains(left, right);
      await Promise.all([left.close(), right.close()]);
      return [code, stdout, equal, firstDifference];
    };
    expect(await answers(chain.leaf, copy)).toEqual([
      0,
      expect.stringContaining('identical'),
      true,
      undefined,
    ]);
    await peers['qemu-io'].ok(['-f', 'vmdk', '-c', 'write -P 7 5767168 512', copy]);
    const [code, stdout, equal, first] = await answers(chain.leaf, copy);
    expect([code, equal, first]).toEqual([1, false, 5_767_168]);
    expect(stdout).toContain(`offset ${first}`);
    expect((await answers(chain.mid, chain.base)).slice(2)).toEqual([false, (1 << 20) + (64 << 10)]);
  });
});

// A crash at any moment leaves what docs/format-checks.md allows and nothing else, also in a disk by another writer
// that made no tables in advance; the next writer settles it.
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createCrashStore, isPowerCut, type CrashStore } from '../support/crash-store.ts';
import { sparseImage } from './check-images.ts';

const DISK = '/vm/disk.vmdk';
const GRAIN_BYTES = 65536;

/** A disk whose second and third table are not there yet. */
function withoutTables(): Buffer {
  const { bytes, layout } = sparseImage([0, 5]);
  for (const directory of [layout.gdOffset, layout.rgdOffset]) {
    bytes.fill(0, directory * SECTOR_BYTES + 4, directory * SECTOR_BYTES + 12);
  }
  return bytes;
}

async function work(store: FileStore): Promise<void> {
  const chain = await openChain(DISK, 'update', { fs: store });
  for (const grain of [3, 600, 601, 1099]) {
    await chain.write((grain * 128) as Sectors, Buffer.alloc(GRAIN_BYTES, grain));
    await chain.flush();
  }
  await chain.close();
}

async function crashedAt(moment: number): Promise<{ store: CrashStore; crashed: boolean }> {
  const store = await createCrashStore({ [DISK]: withoutTables() });
  store.crashAt(moment);
  try {
    await work(store);
    return { store, crashed: false };
  } catch (error) {
    if (!isPowerCut(error)) throw error;
    return { store, crashed: true };
  }
}

const findings = async (fs: FileStore): Promise<string[]> =>
  (await checkDisk(DISK, { fs })).problems.map(({ severity, code }) => `${severity} ${code}`);

it('leaves warnings at most, and nothing but lost space once it was written again', async () => {
  const allowed = new Set(['warning UNCLEAN', 'warning LEAK', 'warning RGD-DIFF']);
  let states = 0;
  for (let moment = 0; ; moment++) {
    const { store, crashed } = await crashedAt(moment);
    if (!crashed) break;
    for await (const state of store.afterCrash(moment, 8)) {
      states++;
      expect((await findings(state)).filter((each) => !allowed.has(each))).toEqual([]);
      await work(state);
      expect((await findings(state)).filter((each) => each !== 'warning LEAK')).toEqual([]);
    }
  }
  expect(states).toBeGreaterThan(100);
});

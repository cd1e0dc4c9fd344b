// Two chains over one base, opened with the links that both stand on opened once.
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { craftMonolithic, marked, storeOf } from '../support/craft.ts';
import { failureOf, contentOf } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const CAPACITY = 64;

const link = (cid: string, hint: string | undefined, grain: number, capacity = CAPACITY): Buffer =>
  craftMonolithic(
    { capacity, grains: { [grain]: marked(`link ${cid}`, grain * 8, 8) } },
    { cid, parentCid: hint === undefined ? 'ffffffff' : '1', ...(hint === undefined ? {} : { hint }) },
  ).bytes;

const files = {
  '/vm/base.vmdk': link('1', undefined, 0),
  '/vm/middle.vmdk': link('1', 'base.vmdk', 1),
  '/vm/left.vmdk': link('2', 'middle.vmdk', 2),
  '/vm/right.vmdk': link('3', 'middle.vmdk', 3),
  '/vm/short.vmdk': link('4', 'middle.vmdk', 3, CAPACITY - 8),
};

it('opens the shared links once, reads the same, and closes what is its own', async () => {
  const recording = recordStore(storeOf(files));
  const fs = recording.store;
  const alone = await openChain('/vm/right.vmdk', 'read', { fs });
  const expected = await contentOf(alone);
  await alone.close();
  const left = await openChain('/vm/left.vmdk', 'read', { fs });
  const before = recording.stillOpen.size;
  const right = await openChain('/vm/right.vmdk', 'read', { fs, shared: left.links });
  expect(recording.stillOpen.size).toBe(before + 1);
  expect(right.links.slice(1)).toEqual(left.links.slice(1));
  expect((await contentOf(right)).equals(expected)).toBe(true);
  await right.close();
  expect(recording.stillOpen.size).toBe(before);
  expect((await contentOf(left)).length).toBe(CAPACITY * 512);
  await left.close();
  expectAllClosed(recording);
});

it('judges the link over the shared ones as ever, and leaves those open when it fails', async () => {
  const recording = recordStore(storeOf(files));
  const fs = recording.store;
  const left = await openChain('/vm/left.vmdk', 'read', { fs });
  const before = recording.stillOpen.size;
  const error = await failureOf(openChain('/vm/short.vmdk', 'read', { fs, shared: left.links }));
  expect(error).toMatchObject({ code: 'chain-capacity-mismatch', context: { path: '/vm/short.vmdk' } });
  expect(recording.stillOpen.size).toBe(before);
  expect((await contentOf(left)).length).toBe(CAPACITY * 512);
  await left.close();
  expectAllClosed(recording);
});

it('shares nothing with a chain that is opened to be written', async () => {
  const recording = recordStore(storeOf(files));
  const fs = recording.store;
  const left = await openChain('/vm/left.vmdk', 'read', { fs });
  const right = await openChain('/vm/right.vmdk', 'update', { fs, shared: left.links });
  expect(right.links.some((each) => left.links.includes(each))).toBe(false);
  await right.close();
  expect((await contentOf(left)).length).toBe(CAPACITY * 512);
  await left.close();
  expectAllClosed(recording);
});

// What every refusal must be: of its code, with names that help, and without a trace on the medium.
import { expect } from 'vitest';
import type { FileStore } from '../../src/storage/file-store.ts';
import { hashesBelow } from './clone-bench.ts';

/** The change is refused with this code and these names, and no file below `folder` changes. */
export async function expectRefused(
  fs: FileStore,
  folder: string,
  change: () => Promise<unknown>,
  code: string,
  ...names: string[]
): Promise<void> {
  const before = await hashesBelow(fs, folder);
  const error = (await change().then(
    () => ({ code: 'nothing was refused', message: '' }),
    (thrown: unknown) => thrown,
  )) as { code: string; kind: string; message: string };
  expect([error.code, error.kind, error.message]).toEqual([code, 'refused', error.message]);
  for (const name of names) expect(error.message).toContain(name);
  expect(await hashesBelow(fs, folder)).toEqual(before);
}

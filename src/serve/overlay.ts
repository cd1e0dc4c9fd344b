// A writable view of a disk that stays as it is: a delta above it, which is the user's file or is gone at the end.
// Rule: the disk and all below it are opened for reading only.
import { posix } from 'node:path';
import { openChain } from '../chain/open-chain.ts';
import type { WritableChain } from '../chain/writable-chain.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { createDelta } from '../operations/create-delta.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { OverlayPlace, ServeOptions } from './export-types.ts';

/**
 * Opens a delta above the disk at `path`. `folder` is for temporary ones.
 * @throws VmdkError `overlay-of-another-disk`, and whatever making and opening a delta finds.
 */
export async function openOverlay(
  store: FileStore,
  path: string,
  place: OverlayPlace,
  folder: string | undefined,
  options: ServeOptions,
): Promise<WritableChain> {
  const { path: base, identity } = await store.resolve(path);
  const temporary = place === 'temporary';
  if (temporary && options.confine !== undefined) {
    throw usageError(
      'a temporary overlay lies outside the folder of --confine',
      'Use --overlay FILE inside it.',
    );
  }
  const file = temporary ? await freeName(store, folder!, base) : place.file;
  const made = !(await store.exists(file));
  const shared = {
    ...options,
    fs: store,
    // The one disk that the overlay is made for may be led to, wherever the overlay lies; below / lies everything, so that
    // there it is the file alone.
    allow: [...(options.allow ?? []), posix.dirname(base) === '/' ? base : posix.dirname(base)],
  };
  if (made) {
    await createDelta(file, base, {
      ...shared,
      onFinding: undefined,
      // The one type that our engine writes grain by grain, with zeros as metadata.
      type: 'monolithicSparse',
      hint: temporary ? 'absolute' : 'relative',
      throwAway: temporary,
      durable: !temporary,
    });
  }
  // Locks on a file that was there are ours; on a new one are none.
  const chain = await openChain(file, 'update', { ...shared, locked: 'ignore' });
  if (chain.links[1]?.identity === identity) return chain;
  const found = chain.links[1]?.path ?? 'no parent';
  await chain.close();
  throw new VmdkError('refused', 'overlay-of-another-disk', 'the overlay does not stand on this disk', {
    path: file,
    found,
    expected: base,
    hint: 'Name another file: a new one is made.',
  });
}

async function freeName(store: FileStore, folder: string, base: string): Promise<string> {
  const stem = posix.basename(base).replace(/\.vmdk$/i, '');
  for (let count = 1; ; count++) {
    const file = posix.join(folder, `${stem}-overlay${count === 1 ? '' : `-${count}`}.vmdk`);
    if (!(await store.exists(file))) return file;
  }
}

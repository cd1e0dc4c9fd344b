// What a conversion reads: a chain, or a raw file. Rule: a file is taken as raw only when that is said, since the guest
// decides what a raw disk begins with, and could make it look like anything.
import type { SectorSource } from '../block/sector-source.ts';
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { assertNotMixed } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { roundUp, SECTOR_BYTES, sectors } from '../core/units.ts';
import { openFlatExtent } from '../extent/flat-extent.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { spoolInput, type ByteStream, type SpoolPlace } from './spool-input.ts';

export type SourceFormat = 'vmdk' | 'raw';

export interface ConvertSource {
  readonly source: SectorSource;
  /** Undefined for a raw file. */
  readonly chain: Chain | undefined;
  readonly path: string;
  close(): Promise<void>;
}

/** Close it when done. @throws VmdkError whatever opening it finds; `raw-size` (usage) for a raw file of half sectors. */
export async function openSource(
  from: string | ByteStream,
  format: SourceFormat,
  options: ChainOptions,
  spool: SpoolPlace,
): Promise<ConvertSource> {
  const store = storeFor(options.fs);
  if (typeof from !== 'string') return openSpooled(store, from, format, options, spool);
  if (format === 'raw') {
    const source = await openRaw(store, from, from);
    return { source, chain: undefined, path: from, close: () => source.close() };
  }
  return openVmdk(from, options);
}

async function openVmdk(from: string, options: ChainOptions): Promise<ConvertSource> {
  try {
    const chain = await openChain(from, 'read', options);
    try {
      if ((options.damaged ?? 'refuse') === 'refuse') assertNotMixed(chain.links);
    } catch (error) {
      await chain.close();
      throw error;
    }
    return { source: chain, chain, path: from, close: () => chain.close() };
  } catch (error) {
    if (!isVmdkError(error, 'not-a-vmdk')) throw error;
    const hint = 'If it is the raw content of a disk, say so with --from raw.';
    throw new VmdkError(
      'corrupt',
      'not-a-vmdk',
      'this is not a VMDK disk',
      { ...error.context, hint },
      error,
    );
  }
}

/** A disk from a pipe is one file: monolithicSparse or streamOptimized. What it names besides is not there to be found. */
async function openSpooled(
  store: FileStore,
  from: ByteStream,
  format: SourceFormat,
  options: ChainOptions,
  spool: SpoolPlace,
): Promise<ConvertSource> {
  const { path, remove } = await spoolInput(store, from, `input.${format}`, spool);
  try {
    const opened =
      format === 'vmdk'
        ? await openVmdk(path, { ...options, fs: store })
        : await openRaw(store, path, 'the input');
    const close = async (): Promise<void> => {
      await opened.close();
      await remove();
    };
    if ('source' in opened) return { ...opened, close };
    return { source: opened, chain: undefined, path, close };
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

/** `name` is what messages call it. */
async function openRaw(store: FileStore, path: string, name: string): Promise<SectorSource> {
  const file = await store.open(path, 'read');
  try {
    const size = await file.size();
    if (size === 0 || size % SECTOR_BYTES !== 0) throw notSectors(name, size);
    return await openFlatExtent(file, sectors(size / SECTOR_BYTES), sectors(0));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Disks are whole sectors, and nothing is added to evidence without being asked. */
function notSectors(path: string, size: number): VmdkError {
  if (size === 0)
    return new VmdkError('usage', 'raw-size', 'a disk has at least one sector, and nothing is here', {
      path,
      found: '0 bytes',
      hint: 'From a pipe: what writes into it may have failed.',
    });
  return new VmdkError('usage', 'raw-size', 'a raw disk is whole sectors', {
    path,
    found: `${size} bytes`,
    expected: `a multiple of ${SECTOR_BYTES}`,
    hint: `Fill it up with zeros first: truncate -s ${roundUp(size, SECTOR_BYTES)} FILE`,
  });
}

/** Identities of every file that is read. */
export async function identitiesOf(
  store: FileStore,
  sources: readonly (Chain | string)[],
): Promise<ReadonlySet<string>> {
  const paths = sources.flatMap((each) =>
    typeof each === 'string'
      ? [each]
      : each.links.flatMap((link) => [link.path, ...link.extents.flatMap(({ extent }) => extent.path ?? [])]),
  );
  const found = new Set<string>();
  for (const path of new Set(paths)) found.add((await store.resolve(path)).identity);
  return found;
}

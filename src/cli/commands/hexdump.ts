// `vmdkit hexdump`: the contents of a disk, of one link, of a file on it, or the bytes of its first extent file as they
// stand, as `hexdump -C` prints them. Holes are not read.
import { walkRuns } from '../../block/read-runs.ts';
import { sectorRange } from '../../block/sector-range.ts';
import type { SectorSource } from '../../block/sector-source.ts';
import type { Chain } from '../../chain/chain.ts';
import { usageError } from '../../core/errors.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import type { Disk } from '../../disk/disk.ts';
import { chooseFileSystem, findFileSystems } from '../../examine/find-file-systems.ts';
import { HexDump } from '../../examine/hexdump.ts';
import { findFile, readFile } from '../../examine/read-file.ts';
import { withChain } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import type { Arguments } from '../parsed-arguments.ts';

const PIECE = 64 << 10;

interface Range {
  readonly start: number;
  readonly end: number;
}

export const run: CommandModule['run'] = async (args, context) => {
  const [file, raw] = [args.text('file'), args.flag('raw')];
  if (file !== undefined && raw) throw usageError('hexdump: --file or --raw, not both');
  if (file !== undefined && args.text('link') !== undefined) {
    throw usageError(
      'hexdump: --file is of the merged contents',
      'To see a file as of an older link, name that link as DISK.',
    );
  }
  return withChain(args, context, async (chain) => {
    if (file !== undefined) await dumpFile(chain, file, args, context);
    else if (raw) await dumpRaw(linkOf(chain, args) ?? chain.leaf, args, context);
    else await dumpSource(linkOf(chain, args) ?? chain, args, context);
    return EXIT.done;
  });
};

function linkOf({ links }: Chain, args: Arguments): Disk | undefined {
  const depth = args.count('link');
  if (depth === undefined) return undefined;
  const link = links[depth];
  if (link !== undefined) return link;
  throw usageError(
    `--link: there is no link ${depth}`,
    `The chain has links 0 (leaf) to ${links.length - 1} (base).`,
  );
}

/** A start past the end is refused; a length that goes on past it ends there, as with hexdump. */
function rangeOf(args: Arguments, size: number): Range {
  const start = args.bytes('start') ?? 0;
  if (start > size) throw usageError(`--start: byte ${start} is past the end`, `There are ${size} bytes.`);
  return { start, end: Math.min(size, start + (args.bytes('length') ?? size)) };
}

async function dumpSource(source: SectorSource, args: Arguments, context: CommandContext): Promise<void> {
  const { start, end } = rangeOf(args, source.capacity * SECTOR_BYTES);
  const dump = new HexDump(start);
  const first = Math.floor(start / SECTOR_BYTES);
  const range = sectorRange(first, Math.ceil(end / SECTOR_BYTES) - first);
  for await (const runs of walkRuns(source, range)) {
    for (const run of runs) {
      context.signal.throwIfAborted();
      const from = Math.max(start, run.start * SECTOR_BYTES);
      const to = Math.min(end, (run.start + run.count) * SECTOR_BYTES);
      if (run.state !== 'data') await context.stdout.write(dump.addZeros(to - from));
      else await dumpData(source, { start: from, end: to }, dump, context);
    }
  }
  await context.stdout.write(dump.end());
}

async function dumpData(
  source: SectorSource,
  { start, end }: Range,
  dump: HexDump,
  context: CommandContext,
): Promise<void> {
  for (let at = start; at < end;) {
    context.signal.throwIfAborted();
    const sector = Math.floor(at / SECTOR_BYTES);
    const count = Math.min(PIECE / SECTOR_BYTES, Math.ceil(end / SECTOR_BYTES) - sector);
    const piece = Buffer.alloc(count * SECTOR_BYTES);
    await source.read(sectorRange(sector, count), piece);
    const stop = Math.min(end, (sector + count) * SECTOR_BYTES);
    await context.stdout.write(
      dump.add(piece.subarray(at - sector * SECTOR_BYTES, stop - sector * SECTOR_BYTES)),
    );
    at = stop;
  }
}

async function dumpRaw(link: Disk, args: Arguments, context: CommandContext): Promise<void> {
  const path = link.extents[0]?.extent.path ?? link.path;
  const file = await context.store.open(path, 'read');
  try {
    const { start, end } = rangeOf(args, await file.size());
    const dump = new HexDump(start);
    for (let at = start; at < end; at += PIECE) {
      context.signal.throwIfAborted();
      const piece = Buffer.alloc(Math.min(PIECE, end - at));
      await file.readExactly(piece, at);
      await context.stdout.write(dump.add(piece));
    }
    await context.stdout.write(dump.end());
  } finally {
    await file.close();
  }
}

async function dumpFile(chain: Chain, path: string, args: Arguments, context: CommandContext): Promise<void> {
  const found = await findFileSystems(chain.leaf.path, chain);
  const { fileSystem } = chooseFileSystem(chain.leaf.path, found, args.count('partition'));
  const node = await findFile(fileSystem, path);
  if (node.kind !== 'file') throw usageError(`--file: ${path} is a ${node.kind}, not a file`);
  const { start, end } = rangeOf(args, node.size);
  const dump = new HexDump(start);
  let at = 0;
  for await (const piece of readFile(chain, fileSystem, node, { signal: context.signal })) {
    const [from, to] = [Math.max(start - at, 0), Math.min(end - at, piece.length)];
    if (from < to) await context.stdout.write(dump.add(piece.subarray(from, to)));
    at += piece.length;
    if (at >= end) break;
  }
  await context.stdout.write(dump.end());
}

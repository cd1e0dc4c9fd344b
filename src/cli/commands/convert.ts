// `vmdkit convert`: any readable chain, a raw file or stdin, to a disk of any type, a raw file or stdout.
import { lostRanges, type KnownLoss } from '../../block/lost-ranges.ts';
import type { ChainOptions } from '../../chain/chain-options.ts';
import { usageError, VmdkError } from '../../core/errors.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import { NO_PARENT_CID, printCid } from '../../format/content-id.ts';
import {
  convertDisk,
  convertToStream,
  readingOf,
  readingOptions,
  type ConvertedDisk,
} from '../../operations/convert-disk.ts';
import { openSource } from '../../operations/convert-source.ts';
import type { ByteStream } from '../../operations/spool-input.ts';
import { copyOut } from '../../operations/copy-out.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { conversionOptions } from '../conversion-options.ts';
import { diskOf, readingOptionsOf, withChainAt } from '../chain-read.ts';
import { EXIT } from '../failure.ts';
import { noteSharers, refuseToReplaceBase } from '../sharers.ts';

const SCHEMA = 'vmdkit-convert/v1';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.operand('DST');
  const type = args.text('target-type');
  const toStdout = target === '-';
  if (toStdout) {
    if (context.stdout.isTerminal && !context.force) throw toTerminal();
    if (type === undefined || type === 'raw') return rawToStdout(args, context);
    if (type.toLowerCase() !== 'streamoptimized') throw notAStream(type);
  } else assertTypeSaid(target, args);
  const chainOptions = await readingOptionsOf(args, context);
  const source = await sourceOf(args, chainOptions, context);
  const options = {
    ...chainOptions,
    fs: context.outputs,
    ...conversionOptions(args),
    preallocate: args.flag('preallocate') || undefined,
    salvage: args.flag('salvage'),
  };
  const filled = await filledIn(source, chainOptions, context);
  const converted = await context.withProgress((task) =>
    toStdout
      ? convertToStream(source, (data) => context.stdout.write(data), {
          ...options,
          ...task,
        })
      : convertDisk(source, target, {
          ...options,
          ...task,
          durable: !args.flag('no-sync'),
          backing: args.text('backing'),
          overwrite: context.force,
          beforeReplace: (path, chain) =>
            refuseToReplaceBase(path, { links: chain?.links ?? [] }, chainOptions, context),
        }),
  );
  const backing = args.text('backing');
  if (backing !== undefined) await noteSharers([{ base: backing, path: target }], context, args);
  if (context.format === 'human') await tell(target, converted, context);
  else {
    const lost = [...filled, ...converted.lost];
    await printResult(resultOf(args.operand('SRC'), target, { ...converted, lost }), context);
  }
  return converted.lost.length + filled.length === 0 ? EXIT.done : EXIT.no;
};

async function sourceOf(
  args: Arguments,
  options: ChainOptions,
  context: CommandContext,
): Promise<string | ByteStream> {
  const source = args.operand('SRC');
  if (args.text('partial') !== undefined && args.flag('salvage'))
    throw usageError('--partial and --salvage are two ways of one thing', 'Choose one of them.');
  if (source === '-') return context.stdin();
  if (args.text('from') === 'raw') return source;
  return (await diskOf(source, args, options, context)).path;
}

/** With --partial: what is lost, told at once. */
async function filledIn(
  source: string | ByteStream,
  options: ChainOptions,
  context: CommandContext,
): Promise<KnownLoss[]> {
  const lost: KnownLoss[] = [];
  if (typeof options.damaged !== 'object' || typeof source !== 'string') return lost;
  await withChainAt(source, options, context, async (chain) => {
    for await (const range of lostRanges(chain, context)) lost.push(range);
    return EXIT.done;
  });
  return lost;
}

/** In order, zeros included: what follows the pipe knows nothing of holes. */
async function rawToStdout(args: Arguments, context: CommandContext): Promise<number> {
  for (const name of ['backing', 'adapter', 'level', 'grain', 'hint', 'hardware-version'] as const) {
    if (args.text(name) !== undefined) throw usageError(`--${name} does not go with raw output`);
  }
  const { tmpdir } = await import('node:os');
  const salvage = args.flag('salvage');
  const asked = await readingOptionsOf(args, context);
  const source = await sourceOf(args, asked, context);
  const filled = await filledIn(source, asked, context);
  const options = readingOptions({ ...asked, salvage });
  const { lost, end } = await context.withProgress(async (task) => {
    const { from = 'vmdk' } = conversionOptions(args);
    const opened = await openSource(source, from, options, { folder: tmpdir(), ...task });
    try {
      const reading = readingOf(opened, { salvage });
      const end = opened.source.capacity * SECTOR_BYTES;
      await copyOut(reading.source, { start: 0, end }, (data) => context.stdout.write(data), task);
      return { lost: reading.lost(), end };
    } finally {
      await opened.close();
    }
  });
  if (context.format === 'human') tellLost('-', lost, context);
  else {
    const facts = {
      source: args.operand('SRC'),
      filename: '-',
      format: 'raw',
      'virtual-size': end,
      size: end,
    };
    const files = [{ filename: '-', size: end }];
    const result = {
      schema: SCHEMA,
      ...facts,
      written: end,
      files,
      lost: [...filled, ...lost].map(lostJson),
      notes: [],
    };
    await printResult(result, context);
  }
  return lost.length + filled.length === 0 ? EXIT.done : EXIT.no;
}

function resultOf(source: string, target: string, { plan, files, written, lost, notes }: ConvertedDisk) {
  const raw = plan.createType === 'raw';
  return {
    schema: SCHEMA,
    source,
    filename: target,
    format: raw ? 'raw' : 'vmdk',
    ...(raw ? {} : { 'create-type': plan.createType, cid: printCid(plan.cid) }),
    ...(plan.parentCid === NO_PARENT_CID ? {} : { 'parent-cid': printCid(plan.parentCid) }),
    ...(plan.parentFileNameHint === undefined ? {} : { hint: plan.parentFileNameHint }),
    'virtual-size': plan.capacity * SECTOR_BYTES,
    size: sizeOf(files),
    written,
    files: files.map(({ path, size }) => ({ filename: path, size })),
    lost: lost.map(lostJson),
    notes,
  };
}

function lostJson({ start, count, error }: ConvertedDisk['lost'][number]) {
  const place = { start: start * SECTOR_BYTES, length: count * SECTOR_BYTES };
  return { ...place, code: error.code, message: error.message };
}

/** On stdout, or on stderr as one line where stdout has the bytes of the disk. */
async function printResult(result: { readonly filename: string }, context: CommandContext): Promise<void> {
  if (result.filename === '-') context.talk(JSON.stringify(result));
  else await context.printJson(result);
}

async function tell(target: string, converted: ConvertedDisk, context: CommandContext): Promise<void> {
  const { plan, files, written, lost, notes } = converted;
  const { exactSizeText, sizeText } = await import('../numbers.ts');
  const raw = plan.createType === 'raw';
  const above = plan.parentFileNameHint === undefined ? '' : `, above ${plan.parentFileNameHint}`;
  const type = raw ? '' : `${plan.createType}, `;
  const rest = raw
    ? 'the rest holes'
    : `${sizeText(sizeOf(files))} in ${files.length === 1 ? 'one file' : `${files.length} files`}`;
  const size = exactSizeText(plan.capacity * SECTOR_BYTES);
  if (target !== '-')
    context.talk(`${target}: ${type}${size}${above}, ${sizeText(written)} of data, ${rest}`);
  for (const note of notes) context.warn(`${target}: ${note}`);
  tellLost(target, lost, context);
}

function tellLost(target: string, lost: ConvertedDisk['lost'], context: CommandContext): void {
  const where = target === '-' ? 'the output' : target;
  for (const { start, count, error } of lost) {
    const from = start * SECTOR_BYTES;
    context.warn(
      `lost: bytes ${from} to ${from + count * SECTOR_BYTES - 1} are zeros in ${where}: ${error.message}`,
    );
  }
}

function sizeOf(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Raw content under the name of a disk would be taken for one by its name, and for anything by its content. */
function assertTypeSaid(target: string, args: Arguments): void {
  if (args.text('target-type') !== undefined || args.text('backing') !== undefined) return;
  if (!target.toLowerCase().endsWith('.vmdk')) return;
  throw usageError(
    `which type of disk is ${target} to be?`,
    'Say it with -O, for example -O monolithicSparse; -O raw for raw content under this name.',
  );
}

function notAStream(type: string): VmdkError {
  return new VmdkError('unsupported', 'target-is-a-stream', `${type} cannot be written to a pipe`, {
    expected: 'raw or streamOptimized',
    hint: 'Name a file in place of "-".',
  });
}

function toTerminal(): VmdkError {
  return new VmdkError('refused', 'output-is-a-terminal', 'the bytes of a disk are nothing for a terminal', {
    hint: 'Name a file in place of "-" or send it to a pipe; --force prints it here.',
  });
}

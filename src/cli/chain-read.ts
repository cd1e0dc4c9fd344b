// One disk opened for reading, with all that is below it: at a snapshot, and in part, when that is asked for. Rule: it is
// closed however the work ends, and what is lost is told, with exit code 1.
import { lostRanges } from '../block/lost-ranges.ts';
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import { usageError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { CommandContext } from './context.ts';
import { chainOptionsOf } from './disk-options.ts';
import { EXIT } from './failure.ts';
import { grouped, plural, sizeText } from './numbers.ts';
import type { Arguments } from './parsed-arguments.ts';
import { pointDisk, type PointDisk } from './points.ts';

/** Ranges told on stderr. */
const SHOWN = 5;

/** Runs `work` with the chain of the operand DISK; resolves to its exit code, or 1 when something is lost. */
export async function withChain(
  args: Arguments,
  context: CommandContext,
  work: (chain: Chain, disk: PointDisk) => Promise<number>,
): Promise<number> {
  const options = await readingOptionsOf(args, context);
  const disk = await diskOf(args.operand('DISK'), args, options, context);
  return withChainAt(disk.path, options, context, (chain) => work(chain, disk));
}

/** The disk that an operand means, by --at and --disk where the command has them. */
export async function diskOf(
  path: string,
  args: Arguments,
  options: ChainOptions,
  context: CommandContext,
): Promise<PointDisk> {
  if (!args.declares('at')) return { path };
  return pointDisk({ path, at: args.text('at'), node: args.text('disk') }, options, context);
}

/** As the options say, --partial included where the command has it. */
export async function readingOptionsOf(args: Arguments, context: CommandContext): Promise<ChainOptions> {
  const options = await chainOptionsOf(args, context);
  const partial = args.declares('partial') ? args.text('partial') : undefined;
  return partial === undefined ? options : { ...options, damaged: { fill: fillOf(partial) } };
}

export async function withChainAt(
  path: string,
  options: ChainOptions,
  context: CommandContext,
  work: (chain: Chain) => Promise<number>,
): Promise<number> {
  const chain = await openChain(path, 'read', options);
  try {
    const code = await work(chain);
    if (typeof options.damaged !== 'object') return code;
    return (await tellLost(chain, options.damaged.fill, context)) && code === EXIT.done ? EXIT.no : code;
  } finally {
    await chain.close();
  }
}

/** Whether anything is lost; what is, goes to stderr. */
export async function tellLost(chain: Chain, fill: number, context: CommandContext): Promise<boolean> {
  let [ranges, sectors] = [0, 0];
  const lines: string[] = [];
  for await (const { start, count, error } of lostRanges(chain, context)) {
    ranges++;
    sectors += count;
    const { message } = error;
    if (ranges > SHOWN) continue;
    lines.push(
      `  bytes ${grouped(start * SECTOR_BYTES)} + ${grouped(count * SECTOR_BYTES)}: ${message.split('\n')[0]!}`,
    );
  }
  if (ranges === 0) return false;
  const more =
    ranges > SHOWN ? [`  and ${plural(ranges - SHOWN, 'other range')}: see vmdkit map --partial`] : [];
  const shown = fill.toString(16).padStart(2, '0');
  context.warn(
    [
      `${sizeText(sectors * SECTOR_BYTES)} in ${plural(ranges, 'range')} of the disk are lost; ${shown} stands for each byte`,
      ...lines,
      ...more,
    ].join('\n'),
  );
  return true;
}

function fillOf(text: string): number {
  if (text === '') return 0;
  if (/^[0-9a-f]{2}$/i.test(text)) return parseInt(text, 16);
  throw usageError(`--partial: "${text}" is no byte`, 'Two hexadecimal digits, as in --partial=ff.');
}

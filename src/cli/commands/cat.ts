// `vmdkit cat`: the bytes the guest sees, to a pipe or a file.
import type { Chain } from '../../chain/chain.ts';
import { usageError, VmdkError } from '../../core/errors.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import { copyOut, type ByteRange } from '../../operations/copy-out.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandModule } from '../command-module.ts';
import { diskOf, readingOptionsOf, withChainAt } from '../chain-read.ts';
import { EXIT } from '../failure.ts';
import { refuseToReplaceBase } from '../sharers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.text('to');
  assertOneRange(args);
  if (target === undefined && context.stdout.isTerminal && !context.force) throw toTerminal();
  const options = await readingOptionsOf(args, context);
  const { path } = await diskOf(args.operand('DISK'), args, options, context);
  return withChainAt(path, options, context, async (chain) => {
    if (target !== undefined && target !== '-') await refuseToReplaceBase(target, chain, options, context);
    const file = args.text('file');
    if (file !== undefined) {
      const { catFile } = await import('../cat-file.ts');
      await catFile(chain, file, target, args, context);
      return EXIT.done;
    }
    const range = rangeOf(args, chain);
    await context.withProgress(async (task) => {
      if (target === undefined || target === '-') {
        await copyOut(chain, range, (data) => context.stdout.write(data), task);
        return;
      }
      const { writeNewFile } = await import('../../operations/new-file.ts');
      await writeNewFile(context.outputs, target, chain, context.force, async (file) => {
        let at = 0;
        await copyOut(
          chain,
          range,
          async (data) => {
            await file.write(data, at);
            at += data.length;
          },
          task,
        );
      });
    });
    return EXIT.done;
  });
};

function assertOneRange(args: Arguments): void {
  const [file, partition] = [args.text('file'), args.text('partition')];
  if (file === undefined && partition !== undefined) throw usageError('cat: --partition goes with --file');
  const part = args.text('start') ?? args.text('length');
  if (file !== undefined && part !== undefined)
    throw usageError('cat: --file gives a whole file, no --start or --length');
}

/** --start and --length, any bytes within the disk. */
function rangeOf(args: Arguments, chain: Chain): ByteRange {
  const size = chain.capacity * SECTOR_BYTES;
  const start = args.bytes('start') ?? 0;
  const end = start + (args.bytes('length') ?? Math.max(0, size - start));
  if (start <= size && end <= size) return { start, end };
  throw usageError(`bytes ${start} to ${end} do not lie within the disk`, `It has ${size} bytes.`);
}

function toTerminal(): VmdkError {
  return new VmdkError('refused', 'output-is-a-terminal', 'the bytes of a disk are nothing for a terminal', {
    hint: 'Send them to a file with -o FILE or to a pipe; --force prints them here.',
  });
}

// `vmdkit convert`: any readable chain to a raw file or stream. Other target types are refused by name.
import { openChain } from '../../chain/open-chain.ts';
import { VmdkError } from '../../core/errors.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import { convertRaw } from '../../operations/convert-raw.ts';
import { copyOut } from '../../operations/copy-out.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { refuseToReplaceBase } from '../sharers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.operand('DST');
  const type = args.text('target-type') ?? 'raw';
  if (type !== 'raw') throw onlyRaw(type);
  const options = await chainOptionsOf(args, context);
  const chain = await openChain(args.operand('SRC'), 'read', options);
  try {
    const size = chain.capacity * SECTOR_BYTES;
    if (target === '-') {
      if (context.stdout.isTerminal && !context.force) throw toTerminal();
      await context.withProgress((task) =>
        copyOut(chain, { start: 0, end: size }, (data) => context.stdout.write(data), task),
      );
      return EXIT.done;
    }
    await refuseToReplaceBase(target, chain, options, context);
    const { written } = await context.withProgress((task) =>
      convertRaw(chain, target, { ...task, fs: context.store, overwrite: context.force }),
    );
    if (context.format !== 'human') {
      const result = { schema: 'vmdkit-convert/v1', filename: target, format: 'raw', size, written };
      await context.printJson(result);
    } else {
      const { exactSizeText, sizeText } = await import('../numbers.ts');
      context.talk(`${target}: ${exactSizeText(size)}, ${sizeText(written)} of data, the rest holes`);
    }
    return EXIT.done;
  } finally {
    await chain.close();
  }
};

function onlyRaw(type: string): VmdkError {
  return new VmdkError('unsupported', 'target-type', `convert cannot write ${type} yet`, {
    expected: 'raw',
    hint: 'Convert to raw, or make a delta with: vmdkit create DISK --backing PARENT',
  });
}

function toTerminal(): VmdkError {
  return new VmdkError('refused', 'output-is-a-terminal', 'the bytes of a disk are nothing for a terminal', {
    hint: 'Name a file in place of "-" or send it to a pipe; --force prints it here.',
  });
}

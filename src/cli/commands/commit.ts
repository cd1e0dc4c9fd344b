// `vmdkit commit`: a delta goes into a disk below it; what stands beside it reads as before.
import { commitDisk } from '../../machine/commit-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { changeTreeBy } from '../tree-options.ts';

export const run: CommandModule['run'] = (args, context) => {
  const into = args.text('into');
  const [remove, inPlace] = [args.flag('remove'), args.flag('in-place')];
  return changeTreeBy(args, context, (options) =>
    commitDisk(args.operand('DELTA'), { ...options, into, remove, inPlace }),
  );
};

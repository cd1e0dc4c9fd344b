// `vmdkit consolidate`: fewer links in a chain; links that others need stay.
import { consolidateDisk } from '../../machine/consolidate-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { changeTreeBy } from '../tree-options.ts';

export const run: CommandModule['run'] = (args, context) => {
  const [from, above] = [args.text('from'), args.text('above')];
  return changeTreeBy(args, context, (options) =>
    consolidateDisk(args.operand('DISK'), { ...options, from, above }),
  );
};

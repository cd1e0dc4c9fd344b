// `vmdkit promote`: a linked clone becomes a disk that needs no other, where it is.
import { promoteDisk } from '../../machine/promote-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { changeTreeBy } from '../tree-options.ts';

export const run: CommandModule['run'] = (args, context) => {
  const type = args.text('type');
  return changeTreeBy(args, context, (options) => promoteDisk(args.operand('DISK'), { ...options, type }));
};

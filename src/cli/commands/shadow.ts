// `vmdkit shadow`: a new base with the content of a deep chain, and disks that stand on it from then on.
import { shadowDisk } from '../../machine/shadow-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { changeTreeBy } from '../tree-options.ts';

export const run: CommandModule['run'] = (args, context) => {
  const request = {
    to: args.operand('NEW'),
    move: args.texts('move'),
    clones: args.texts('clone'),
    type: args.text('type'),
  };
  return changeTreeBy(args, context, (options) =>
    shadowDisk(args.operand('DISK'), { ...options, ...request }),
  );
};

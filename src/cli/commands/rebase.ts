// `vmdkit rebase`: another parent for a disk, which reads as before unless it is told not to care.
import { usageError } from '../../core/errors.ts';
import { rebaseDisk } from '../../machine/rebase-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { changeTreeBy } from '../tree-options.ts';

export const run: CommandModule['run'] = (args, context) => {
  const given = args.text('backing');
  if (given === undefined)
    throw usageError(
      'rebase: which parent?',
      'Pass --backing PARENT, or --backing none for a disk of its own.',
    );
  // A disk that is called so is ./none.
  const backing = given === 'none' ? undefined : given;
  const unsafe = args.flag('unsafe');
  return changeTreeBy(args, context, (options) =>
    rebaseDisk(args.operand('DISK'), { ...options, backing, unsafe }),
  );
};

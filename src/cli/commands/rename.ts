// `vmdkit rename`: another name or folder for a disk, with its extents and the hints of what stands on it.
import { renameDisk } from '../../machine/rename-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural } from '../numbers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const [path, target] = [args.operand('OLD'), args.operand('NEW')];
  const options = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  const { force } = context;
  const done = await context.withProgress((task) =>
    renameDisk(path, target, { ...options, ...task, force, locked }),
  );
  for (const note of done.notes) context.warn(note);
  if (context.format !== 'human') {
    const { from, to, files, relinked } = done;
    await context.printJson({ schema: 'vmdkit-rename/v1', from, to, files, relinked });
  } else {
    const hints = done.relinked.length === 0 ? '' : `; ${plural(done.relinked.length, 'disk')} relinked`;
    context.talk(`${path}: now ${target}, ${plural(done.files.length, 'file')} renamed${hints}`);
  }
  return EXIT.done;
};

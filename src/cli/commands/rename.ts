// `vmdkit rename`: another name or folder for a disk, with its extents and the hints of what stands on it.
import { renameDisk } from '../../machine/rename-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { warnOfInterrupted } from '../interrupted.ts';
import { plural } from '../numbers.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const [path, target] = [args.operand('OLD'), args.operand('NEW')];
  const options = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  const { force } = context;
  const dryRun = args.flag('dry-run');
  if (dryRun) await warnOfInterrupted(path, context);
  const done = await context.withProgress((task) =>
    renameDisk(path, target, { ...options, ...task, force, locked, dryRun }),
  );
  for (const note of done.notes) context.warn(note);
  if (context.format !== 'human') {
    const { from, to, files, relinked, references } = done;
    const facts = { 'dry-run': dryRun, from, to, files, relinked, references };
    await context.printJson({ schema: 'vmdkit-rename/v1', ...facts });
  } else {
    const hints = done.relinked.length === 0 ? '' : `; ${plural(done.relinked.length, 'disk')} relinked`;
    const lines =
      done.references.length === 0 ? '' : `; ${plural(done.references.length, 'line')} of machines`;
    const renamed = `${plural(done.files.length, 'file')} renamed${hints}${lines}`;
    // A plan is a result, what was done is talk.
    const say = async (line: string): Promise<void> =>
      dryRun ? context.stdout.line(line) : context.talk(line);
    await say(`${path}: ${dryRun ? 'would be' : 'now'} ${target}, ${renamed}`);
    for (const { path: file, name, from, to } of done.references)
      await say(`  ${shownPath(file)}: ${name} = "${to}", was "${from}"`);
  }
  return EXIT.done;
};

// `vmdkit compact`: the files of a disk without zeros and without what its parent has. What it reads as stays the same.
import { compactDisk } from '../../operations/compact-disk.ts';
import { assertNotGuarded } from '../../machine/guard-file.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { warnOfInterrupted } from '../interrupted.ts';
import { sizeText } from '../numbers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('DISK');
  const options = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  const dryRun = args.flag('dry-run');
  if (dryRun) await warnOfInterrupted(path, context);
  await assertNotGuarded(context.store, path);
  const done = await context.withProgress((task) =>
    compactDisk(path, { ...options, ...task, locked, dryRun }),
  );
  const { before, after, dropped, createType } = done;
  if (context.format !== 'human') {
    const facts = {
      'dry-run': dryRun,
      filename: done.path,
      'create-type': createType,
      before,
      after,
      dropped,
    };
    await context.printJson({ schema: 'vmdkit-compact/v1', ...facts });
  } else if (dryRun) {
    await context.stdout.line(
      `${path}: ${sizeText(before)} occupied, about ${sizeText(after)} then; ${sizeText(dropped)} of data would be dropped`,
    );
  } else {
    context.talk(
      `${path}: ${sizeText(before)} occupied before, ${sizeText(after)} now; ${sizeText(dropped)} of data dropped`,
    );
  }
  return EXIT.done;
};

// `vmdkit remove`: deletes clones, exactly their own files.
import { usageError } from '../../core/errors.ts';
import { removeClones } from '../../machine/remove.ts';
import { assertHere } from '../../storage/remote-address.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';

export const run: CommandModule['run'] = async (args, context) => {
  if (args.flag('accept-mismatch')) throw usageError('remove: --accept-mismatch is not for removing');
  for (const path of args.operands('VM_OR_DISK')) assertHere(path);
  const { fs, allow, confine, pathMap } = await chainOptionsOf(args, context);
  const options = {
    fs,
    allow,
    confine,
    pathMap,
    scan: args.texts('scan'),
    locked: args.text('locked') === 'ignore' ? ('ignore' as const) : ('refuse' as const),
    dryRun: args.flag('dry-run'),
    force: context.force,
    takeOver: context.force,
  };
  const report = await context.withProgress((task) =>
    removeClones(args.operands('VM_OR_DISK'), { ...options, ...task }),
  );
  if (context.format !== 'human') {
    await context.printJson(report);
    return EXIT.done;
  }
  // A plan is data; what was done is talk.
  const { keptText, planText, summaryText } = await import('../remove-text.ts');
  for (const note of report.notes) context.warn(note);
  if (report['dry-run']) for (const line of planText(report)) await context.stdout.line(line);
  else for (const line of [summaryText(report), ...keptText(report.kept)]) context.talk(line);
  return EXIT.done;
};

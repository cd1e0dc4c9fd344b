// `vmdkit relink`: after a base moved or was renamed, the hints of all that stands on it.
import { resolve } from 'node:path';
import { usageError } from '../../core/errors.ts';
import { relink } from '../../machine/relink.ts';
import type { RelinkReport } from '../../machine/relink-types.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';

export const run: CommandModule['run'] = async (args, context) => {
  if (args.flag('accept-mismatch'))
    throw usageError(
      'relink: --accept-mismatch is not for relinking: a parent must be the one it was made over',
    );
  const { fs, allow, confine, pathMap = [] } = await chainOptionsOf(args, context);
  const maps = pathMap.slice(0, args.texts('map').length);
  const request = {
    folders: args.operands('DIR'),
    // Hints may be relative: a map also stands for the place that its first half names here.
    moved: maps.flatMap(({ from, to }) => [
      { from, to },
      ...(from.includes('*') ? [] : [{ from: resolve(from), to }]),
    ]),
    bases: args.texts('base'),
    hint: args.text('hint') as 'relative' | 'absolute' | undefined,
    keepGoing: args.flag('keep-going'),
  };
  const options = {
    fs,
    allow,
    confine,
    pathMap: pathMap.slice(maps.length),
    locked: args.text('locked') === 'ignore' ? ('ignore' as const) : ('refuse' as const),
    dryRun: args.flag('dry-run'),
    takeOver: context.force,
  };
  const report = await context.withProgress((task) => relink(request, { ...options, ...task }));
  await tell(report, context);
  return report.problems.length > 0 ? EXIT.refused : EXIT.done;
};

/** A plan is data; what was done is talk. */
async function tell(report: RelinkReport, context: CommandContext): Promise<void> {
  if (context.format === 'json') return context.printJson(report);
  if (context.format === 'ndjson') {
    for (const line of [...report.disks, ...report.problems]) await context.printJson(line);
    return;
  }
  const { planText, problemText, summaryText } = await import('../relink-text.ts');
  for (const note of report.notes) context.warn(note);
  for (const problem of report.problems) context.warn(problemText(problem));
  if (report['dry-run']) for (const line of planText(report)) await context.stdout.line(line);
  else context.talk(summaryText(report));
}

// What the commands that change trees of disks have in common: their options, and how they tell what is planned or done.
import { usageError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { TreeOptions, TreeReport } from '../machine/tree-types.ts';
import type { CommandContext } from './context.ts';
import { chainOptionsOf } from './disk-options.ts';
import { EXIT } from './failure.ts';
import type { Arguments } from './parsed-arguments.ts';

/** Runs the change and prints its report; resolves to the exit code. */
export async function changeTreeBy(
  args: Arguments,
  context: CommandContext,
  change: (options: TreeOptions) => Promise<TreeReport>,
): Promise<number> {
  const options = await treeOptionsOf(args, context);
  const report = await context.withProgress((task: TaskOptions) => change({ ...options, ...task }));
  if (context.format !== 'human') {
    await context.printJson(report);
    return EXIT.done;
  }
  // A plan is data; what was done is talk.
  const { keptLines, planText, summaryText } = await import('./tree-text.ts');
  for (const note of report.notes) context.warn(note);
  if (report['dry-run']) for (const line of planText(report)) await context.stdout.line(line);
  else for (const line of [...keptLines(report), summaryText(report)]) context.talk(line);
  return EXIT.done;
}

async function treeOptionsOf(args: Arguments, context: CommandContext): Promise<TreeOptions> {
  if (args.flag('accept-mismatch'))
    throw usageError('--accept-mismatch is not for changing chains: their disks must fit together');
  const { fs, allow, confine, pathMap, noAccess, journal, onFinding } = await chainOptionsOf(args, context);
  return {
    fs,
    allow,
    confine,
    pathMap,
    noAccess,
    journal,
    onFinding,
    scan: args.texts('scan'),
    register: !args.flag('no-register'),
    locked: args.text('locked') === 'ignore' ? 'ignore' : 'refuse',
    dryRun: args.flag('dry-run'),
    force: context.force,
    takeOver: context.force,
  };
}

// `vmdkit snapshot`: offline snapshots of a whole machine, taken, listed, reverted to, deleted, renamed and
// consolidated.
import { usageError } from '../../core/errors.ts';
import { consolidateSnapshots } from '../../machine/consolidate-machine.ts';
import { assertMachineNamed } from '../../machine/machine-change.ts';
import { createSnapshot } from '../../machine/snapshot-create.ts';
import { deleteSnapshot } from '../../machine/snapshot-delete.ts';
import { listSnapshots } from '../../machine/snapshot-list.ts';
import { renameSnapshot } from '../../machine/snapshot-rename.ts';
import { revertSnapshot } from '../../machine/snapshot-revert.ts';
import type { SnapshotOptions, SnapshotReport } from '../../machine/snapshot-types.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { nearest } from '../suggest.ts';

const ACTIONS = ['create', 'list', 'revert', 'delete', 'rename', 'consolidate'] as const;
type Action = (typeof ACTIONS)[number];

/** Options that only some actions have. */
const OWN_OPTIONS: readonly { name: string; flag: boolean; of: readonly Action[] }[] = [
  { name: 'description', flag: false, of: ['create', 'rename'] },
  { name: 'children', flag: true, of: ['delete'] },
  { name: 'keep-disks', flag: true, of: ['delete'] },
  { name: 'in-place', flag: true, of: ['delete', 'consolidate'] },
  { name: 'dry-run', flag: true, of: ['create', 'revert', 'delete', 'rename', 'consolidate'] },
];

export const run: CommandModule['run'] = async (args, context) => {
  const action = actionOf(args);
  assertMachineNamed(args.operand('VM'));
  const options = await optionsOf(args, context);
  if (action === 'list') return list(args, options, context);
  const report = await context.withProgress((task) => change(action, args, { ...options, ...task }));
  if (context.format !== 'human') await context.printJson(report);
  else await tell(report, context);
  return EXIT.done;
};

function actionOf(args: Arguments): Action {
  const word = args.operand('ACTION');
  const action = ACTIONS.find((known) => known === word);
  if (action === undefined) {
    const meant = nearest(word, ACTIONS);
    throw usageError(
      `snapshot: there is no action "${word}"`,
      meant === undefined ? `Actions: ${ACTIONS.join(', ')}.` : `Did you mean ${meant}?`,
    );
  }
  for (const { name, flag, of } of OWN_OPTIONS) {
    const given = flag ? args.flag(name) : args.text(name) !== undefined;
    if (given && !of.includes(action)) throw usageError(`--${name} does not go with snapshot ${action}`);
  }
  const words = [args.optionalOperand('SNAPSHOT'), args.optionalOperand('NEW-NAME')].filter(
    (given) => given !== undefined,
  );
  const most = action === 'list' || action === 'consolidate' ? 0 : action === 'rename' ? 2 : 1;
  if (words.length > most) throw usageError(`snapshot ${action}: "${words[most]}" is one word too many`);
  return action;
}

async function optionsOf(args: Arguments, context: CommandContext): Promise<SnapshotOptions> {
  if (args.flag('accept-mismatch')) {
    throw usageError(
      'snapshot: --accept-mismatch is not for changing machines: their disks must fit together',
    );
  }
  const { fs, allow, confine, pathMap, noAccess, journal, onFinding } = await chainOptionsOf(args, context);
  const { force } = context;
  const dryRun = args.flag('dry-run');
  const inPlace = args.flag('in-place');
  return {
    fs,
    allow,
    confine,
    pathMap,
    noAccess,
    journal,
    onFinding,
    force,
    takeOver: force,
    dryRun,
    inPlace,
  };
}

function change(
  action: Exclude<Action, 'list'>,
  args: Arguments,
  options: SnapshotOptions,
): Promise<SnapshotReport> {
  const vmx = args.operand('VM');
  const description = args.text('description');
  switch (action) {
    case 'create':
      return createSnapshot(
        vmx,
        { name: wordOf(args, action, 'the NAME of the new snapshot'), description },
        options,
      );
    case 'consolidate':
      return consolidateSnapshots(vmx, options);
    case 'revert':
      return revertSnapshot(vmx, wordOf(args, action), options);
    case 'delete':
      return deleteSnapshot(vmx, wordOf(args, action), {
        ...options,
        children: args.flag('children'),
        keepDisks: args.flag('keep-disks'),
      });
    case 'rename':
      return renameSnapshot(
        vmx,
        { snapshot: wordOf(args, action), name: args.optionalOperand('NEW-NAME'), description },
        options,
      );
  }
}

function wordOf(args: Arguments, action: Action, what = 'the NAME or UID of a snapshot'): string {
  const word = args.optionalOperand('SNAPSHOT');
  if (word !== undefined && word !== '') return word;
  const found = word === '' ? ', not an empty word' : '';
  throw usageError(
    `snapshot ${action} needs ${what}${found}`,
    'vmdkit snapshot VM list shows what there is.',
  );
}

async function list(args: Arguments, options: SnapshotOptions, context: CommandContext): Promise<number> {
  const listing = await listSnapshots(args.operand('VM'), { ...options, signal: context.signal });
  if (context.format === 'json') await context.printJson(listing);
  else if (context.format === 'ndjson') {
    for (const snapshot of listing.snapshots) await context.printJson(snapshot);
  } else {
    const { listingText } = await import('../snapshot-text.ts');
    for (const line of listingText(listing, context.verbose, context.stdout.paint))
      await context.stdout.line(line);
  }
  return EXIT.done;
}

/** A plan is data; what was done is talk. */
async function tell(report: SnapshotReport, context: CommandContext): Promise<void> {
  const { keptLines, planText, summaryText } = await import('../snapshot-text.ts');
  for (const note of report.notes) context.warn(note);
  if (!report['dry-run']) {
    for (const line of keptLines(report)) context.talk(line);
    context.talk(summaryText(report));
  } else for (const line of planText(report)) await context.stdout.line(line);
}

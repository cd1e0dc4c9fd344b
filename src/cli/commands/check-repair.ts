// The half of `vmdkit check` that mends: `--plan` writes down what a repair would do, `--repair` does it, `--undo` takes
// it back. What a disk's contents would change for those who stand on it is refused unless --force is given.
import { usageError, VmdkError } from '../../core/errors.ts';
import {
  applyRepair,
  parseRepairPlan,
  readUndoRecord,
  undoRepair,
  type AppliedRepair,
} from '../../operations/apply-repair.ts';
import { planRepair, type RepairPlan } from '../../operations/plan-repair.ts';
import { readWhole } from '../../operations/tidy.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural, sizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { refuseToBreakSharers } from '../sharers.ts';
import { assertNotGuarded } from '../../machine/guard-file.ts';
import { shownPath } from '../shown-path.ts';

/** The largest repair in base64, with room to spare. */
const MOST_PLAN_BYTES = 256 << 20;
const WAYS = ['plan', 'repair', 'undo'] as const;

/** @throws VmdkError `usage` unless one of the three was asked for, with what goes with it. */
function assertOneWay(args: Arguments): void {
  const given = WAYS.filter((name) => args.text(name) !== undefined);
  if (given.length > 1) throw usageError(`--${given[0]} and --${given[1]} do not go together`);
  for (const name of ['fit-cid', 'cut-leaks'] as const)
    if (args.flag(name) && given[0] !== 'plan')
      throw usageError(`--${name} goes with --plan`, 'What a plan decided is carried out with it.');
  if (args.text('undo-record') !== undefined && given[0] !== 'repair')
    throw usageError('--undo-record goes with --repair');
}

export async function runRepair(args: Arguments, context: CommandContext): Promise<number> {
  assertOneWay(args);
  if (args.text('plan') !== undefined) return runPlan(args, context, args.text('plan')!);
  const disk = args.operand('DISK');
  const chain = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? ('ignore' as const) : ('refuse' as const);
  const { force } = context;
  const refuseTo = async (verb: string, changesContent: boolean): Promise<void> => {
    if (changesContent) await refuseToBreakSharers(disk, verb, chain, context);
    else if (!force) await assertNotGuarded(context.store, disk);
  };
  const undo = args.text('undo');
  if (undo !== undefined) {
    const { changesContent } = await readUndoRecord(context.store, undo);
    await refuseTo('taking this repair back', changesContent);
    const done = await context.withProgress((task) =>
      undoRepair(disk, undo, { ...chain, ...task, locked, force }),
    );
    await tell(done, undefined, context);
    return EXIT.done;
  }
  const file = args.text('repair')!;
  const plan = await readPlan(file, context);
  await refuseTo('this repair', plan['changes-content']);
  const done = await context.withProgress((task) =>
    applyRepair(disk, plan, {
      ...chain,
      ...task,
      locked,
      chain: args.flag('chain'),
      deep: args.flag('deep'),
      undoRecord: args.text('undo-record'),
    }),
  );
  await tell(done, plan, context);
  return plan['verdict-after'] === 'damaged' ? EXIT.no : EXIT.done;
}

/** @throws VmdkError `not-a-repair-plan` for any other file. */
async function readPlan(file: string, { store }: CommandContext): Promise<RepairPlan> {
  const { size } = await store.resolve(file);
  if (size > MOST_PLAN_BYTES) throw usageError(`${file} is too long for a plan of a repair`);
  return parseRepairPlan(await readWhole(store, file), file);
}

async function runPlan(args: Arguments, context: CommandContext, file: string): Promise<number> {
  if (await context.store.exists(file)) {
    if (!context.force) {
      throw new VmdkError('refused', 'target-exists', 'the file for the plan exists', {
        path: file,
        hint: 'Choose another name, or pass --force to replace an older plan.',
      });
    }
    // By a slip of the hand it may be the disk itself.
    await readPlan(file, context);
  }
  const options = await chainOptionsOf(args, context);
  const wanted = {
    chain: args.flag('chain'),
    deep: args.flag('deep'),
    fitCid: args.flag('fit-cid'),
    cutLeaks: args.flag('cut-leaks'),
  };
  const plan = await context.withProgress((task) =>
    planRepair(args.operand('DISK'), { ...options, ...wanted, ...task }),
  );
  await context.outputs.replace(file, Buffer.from(`${JSON.stringify(plan, undefined, 2)}\n`));
  if (context.format === 'human') await context.stdout.line(planLines(plan, file).join('\n'));
  else await context.printJson(plan);
  return plan['verdict-after'] === 'damaged' ? EXIT.no : EXIT.done;
}

function planLines(plan: RepairPlan, file: string): string[] {
  const disk = shownPath(plan.filename);
  const patches = plan.files.flatMap((each) => each.patches);
  const bytes = patches.reduce((sum, { data }) => sum + Buffer.byteLength(data, 'base64'), 0);
  const stays = plan.left.map(
    ({ severity, code, message, path, reason }) =>
      `  stays: ${severity} ${code}: ${message} (${shownPath(path)}): ${reason}`,
  );
  if (plan.files.length === 0)
    return [
      `${disk}: ${stays.length === 0 ? 'there is nothing to mend' : 'nothing can be mended'}`,
      ...stays,
    ];
  return [
    `${disk}: ${plural(plan.mended.length, 'finding')} can be mended, ${plan.left.length} would stay; then it is ${plan['verdict-after']}`,
    ...plan.mended.map(({ severity, code, message }) => `  mends: ${severity} ${code}: ${message}`),
    ...stays,
    ...(patches.length === 0
      ? []
      : [
          `  ${plural(patches.length, 'change')}, ${sizeText(bytes)}, in ${plural(plan.files.length, 'file')}`,
        ]),
    ...plan.files.flatMap(lengthLine),
    ...(plan['changes-content']
      ? ['  What the guest sees changes: disks that stand on this one would break.']
      : []),
    `To carry it out: vmdkit check ${disk} --repair ${shownPath(file)}`,
  ];
}

function lengthLine(file: RepairPlan['files'][number]): string[] {
  const cut = file['size-before'] - file['size-after'];
  const path = shownPath(file.path);
  if (cut > 0) return [`  cuts ${sizeText(cut)} off the end of ${path}; the undo record keeps it`];
  return cut < 0 ? [`  makes ${path} ${sizeText(-cut)} longer`] : [];
}

const DID: Readonly<Record<AppliedRepair['outcome'], string>> = {
  applied: 'repaired',
  finished: 'repaired: what was begun before is finished',
  unchanged: 'there is nothing to mend',
  undone: 'the repair is taken back',
};

async function tell(
  { filename, outcome, undoRecord, files }: AppliedRepair,
  plan: RepairPlan | undefined,
  context: CommandContext,
): Promise<void> {
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-repair/v1',
      filename,
      outcome,
      ...(undoRecord === undefined ? {} : { 'undo-record': undoRecord }),
      files,
      mended: plan?.mended ?? [],
      left: plan?.left ?? [],
    });
    return;
  }
  const left =
    plan === undefined || plan.left.length === 0 ? '' : `; ${plural(plan.left.length, 'finding')} left`;
  context.talk(`${shownPath(filename)}: ${DID[outcome]}${left}`);
  if (undoRecord !== undefined)
    context.talk(`To take it back: vmdkit check ${shownPath(filename)} --undo ${shownPath(undoRecord)}`);
}

// `vmdkit clone`: clones of disks or of a machine, one or a thousand, planned first.
import { usageError } from '../../core/errors.ts';
import { isMachinePath } from '../../machine/machine.ts';
import { cloneDisks } from '../../operations/clone-disks.ts';
import type { NameRequest } from '../../operations/clone-names.ts';
import { planClones } from '../../operations/clone-plan.ts';
import {
  plannedResult,
  type CloneOptions,
  type ClonePlan,
  type CloneRequest,
  type CloneResult,
} from '../../operations/clone-types.ts';
import { cloneMachines, MACHINE_OPTIONS } from '../clone-machines.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { exitCodeOfProblems } from '../failure.ts';
import { readNames } from '../name-lines.ts';
import { noteSharers } from '../sharers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const { bases, ...names } = await namesOf(args, context);
  const options = await optionsOf(args, context);
  const machine = bases.find(isMachinePath);
  if (machine !== undefined) {
    if (bases.length > 1)
      throw usageError(`clone: ${machine} is a machine, and they are cloned one at a time`);
    return cloneMachines(machine, names, args, options, context);
  }
  for (const option of MACHINE_OPTIONS) {
    const given = args.flag(option);
    if (given)
      throw usageError(`clone: --${option} is for machines`, 'Name the .vmx of a machine to clone it.');
  }
  const request = { ...names, ...shapeOf(args), bases };
  return args.flag('dry-run') ? showPlan(request, options, context) : make(request, options, args, context);
};

async function namesOf(
  args: Arguments,
  context: CommandContext,
): Promise<NameRequest & { bases: string[]; into: string }> {
  const into = args.text('into');
  if (into === undefined) throw usageError('clone needs --into DIR', 'For example: --into clones');
  const words = args.operands('BASE');
  const bases = words.filter((word) => word !== '-');
  if (bases.length === 0) throw usageError('clone needs the BASE to clone');
  const counted = { count: args.count('count'), template: args.text('name'), start: args.count('start') };
  if (bases.length === words.length) return { ...counted, bases, into };
  if (Object.values(counted).some((value) => value !== undefined)) {
    throw usageError('clone: names come from stdin (-), or from --count, --name and --start: not from both');
  }
  return { names: await readNames(context.stdin(), context.signal), bases, into };
}

/** The parser has checked the words against the choices. */
function shapeOf(args: Arguments): Pick<CloneRequest, 'hint' | 'layout' | 'type' | 'keepGoing'> {
  return {
    hint: args.text('hint') as CloneRequest['hint'],
    layout: args.text('layout') as CloneRequest['layout'],
    type: args.text('type'),
    keepGoing: args.flag('keep-going'),
  };
}

async function optionsOf(args: Arguments, context: CommandContext): Promise<CloneOptions> {
  if (args.flag('accept-mismatch')) {
    throw usageError(
      'clone: --accept-mismatch is not for clones: what they would show may never have been one disk',
    );
  }
  const { fs, allow, confine, pathMap, noAccess, journal } = await chainOptionsOf(args, context);
  return { fs, allow, confine, pathMap, noAccess, journal, takeOver: context.force };
}

async function showPlan(
  request: CloneRequest,
  options: CloneOptions,
  context: CommandContext,
): Promise<number> {
  const plan = await planClones(request, { ...options, signal: context.signal });
  warn(plan, context);
  if (context.format === 'json') await context.printJson(plan);
  else if (context.format === 'ndjson') {
    for (const clone of plan.clones) await context.printJson(plannedResult(clone));
  } else {
    const { planText } = await import('../clone-text.ts');
    for (const line of planText(plan, context.verbose)) await context.stdout.line(line);
  }
  return exitCodeOfProblems(plan.clones.flatMap(({ error }) => error ?? []));
}

async function make(
  request: CloneRequest,
  options: CloneOptions,
  args: Arguments,
  context: CommandContext,
): Promise<number> {
  const plans: ClonePlan[] = [];
  const onPlan = (plan: ClonePlan): void => {
    plans.push(plan);
    warn(plan, context);
  };
  // All is made when the first result comes.
  const results = await context.withProgress(async (task) => {
    const made: CloneResult[] = [];
    for await (const result of cloneDisks(request, { ...options, ...task, onPlan })) made.push(result);
    return made;
  });
  await noteSharers(madeDisks(results), context, args);
  if (context.format === 'json') {
    const { into, totals } = plans[0]!;
    await context.printJson({ schema: 'vmdkit-clones/v1', into, clones: results, totals });
  } else if (context.format === 'ndjson') {
    for (const result of results) await context.printJson(result);
  } else {
    const { summaryText } = await import('../clone-text.ts');
    for (const { error } of results) if (error !== undefined) context.warn(error.message);
    context.talk(summaryText(plans[0]!, results));
  }
  return exitCodeOfProblems(results.flatMap(({ error }) => error ?? []));
}

/** Each disk that was made, with the base it stands on. */
function madeDisks(results: readonly CloneResult[]): { base: string; path: string }[] {
  return results.flatMap(({ status, path, base, disks = [{ path, base }] }) => {
    if (status !== 'created') return [];
    return disks.flatMap((disk) =>
      disk.path === undefined || disk.base === undefined ? [] : [{ base: disk.base, path: disk.path }],
    );
  });
}

function warn({ warnings }: ClonePlan, context: CommandContext): void {
  for (const { path, message } of warnings) {
    context.warn(path === undefined ? message : `${path}: ${message}`);
  }
}

// `vmdkit clone GOLDEN.vmx`: clones of a whole machine. Rule: everything that can be refused, the register script's
// file too, is refused before a clone is made.
import { dirname, resolve } from 'node:path';
import { usageError, VmdkError } from '../core/errors.ts';
import { cloneMachine } from '../machine/clone-machine.ts';
import {
  forksOf,
  machineResult,
  type MachineCloneOptions,
  type MachineClonePlan,
  type MachineCloneRequest,
  type MachineCloneResult,
} from '../machine/machine-clone-types.ts';
import { planMachineClones } from '../machine/plan-machine-clones.ts';
import { registerScript } from '../machine/register-script.ts';
import type { NameRequest } from '../operations/clone-names.ts';
import type { CloneOptions } from '../operations/clone-types.ts';
import type { CommandContext } from './context.ts';
import { exitCodeOfProblems } from './failure.ts';
import type { Arguments } from './parsed-arguments.ts';
import { noteSharers } from './sharers.ts';

/** Options of `clone` that mean something for machines alone. */
export const MACHINE_OPTIONS = [
  'snapshot',
  'freeze',
  'full',
  'linked',
  'media',
  'independent',
  'register-script',
] as const;

export async function cloneMachines(
  machine: string,
  names: NameRequest & { into: string },
  args: Arguments,
  options: CloneOptions,
  context: CommandContext,
): Promise<number> {
  const request = { ...names, ...requestOf(args), machine };
  const open = { ...options, onPlan: undefined };
  return args.flag('dry-run') ? showPlan(request, open, context) : make(request, open, args, context);
}

/** The parser has checked the words against the choices. */
function requestOf(args: Arguments): Omit<MachineCloneRequest, 'machine' | 'into'> {
  if (args.flag('full') && args.flag('linked')) {
    throw usageError('clone: --linked and --full are two kinds of clones: choose one');
  }
  if (args.text('layout') === 'files') {
    throw usageError('clone: --layout files is for disks: a machine has a folder of its own');
  }
  return {
    snapshot: args.text('snapshot'),
    freeze: args.flag('freeze'),
    full: args.flag('full'),
    hint: args.text('hint') as MachineCloneRequest['hint'],
    type: args.text('type'),
    media: args.text('media') as MachineCloneRequest['media'],
    independent: args.text('independent') as MachineCloneRequest['independent'],
    keepGoing: args.flag('keep-going'),
  };
}

async function showPlan(
  request: MachineCloneRequest,
  options: MachineCloneOptions,
  context: CommandContext,
): Promise<number> {
  const plan = await planMachineClones(request, { ...options, signal: context.signal });
  warn(plan, context);
  const results = plan.clones.map((clone) => machineResult(clone, 'planned'));
  if (context.format === 'json') await context.printJson(plan);
  else if (context.format === 'ndjson') for (const result of results) await context.printJson(result);
  else {
    const { machinePlanText } = await import('./machine-clone-text.ts');
    for (const line of machinePlanText(plan, context.verbose)) await context.stdout.line(line);
  }
  return exitCodeOfProblems(results.flatMap(({ error }) => error ?? []));
}

async function make(
  request: MachineCloneRequest,
  options: MachineCloneOptions,
  args: Arguments,
  context: CommandContext,
): Promise<number> {
  const script = args.text('register-script');
  if (script !== undefined) await assertScriptFree(script, context);
  const plans: MachineClonePlan[] = [];
  const onPlan = (plan: MachineClonePlan): void => {
    plans.push(plan);
    warn(plan, context);
  };
  // All is made when the first result comes.
  const results = await context.withProgress(async (task) => {
    const made: MachineCloneResult[] = [];
    for await (const result of cloneMachine(request, { ...options, ...task, onPlan })) made.push(result);
    return made;
  });
  const [plan] = plans;
  await noteSharers(madeDisks(results), context, args);
  if (script !== undefined) await writeScript(script, plan!, results, options, context);
  await tell(plan!, results, script, context);
  return exitCodeOfProblems(results.flatMap(({ error }) => error ?? []));
}

/** The linked disks that were made, each with the disk it stands on. */
function madeDisks(results: readonly MachineCloneResult[]): { base: string; path: string }[] {
  return results.flatMap(({ status, disks = [] }) => {
    if (status !== 'created') return [];
    return disks.filter(({ kind }) => kind === 'linked').map(({ base, path }) => ({ base, path }));
  });
}

async function tell(
  plan: MachineClonePlan,
  results: readonly MachineCloneResult[],
  script: string | undefined,
  context: CommandContext,
): Promise<void> {
  if (context.format === 'ndjson') for (const result of results) await context.printJson(result);
  else if (context.format === 'json') {
    const { source, point, into, totals, limits } = plan;
    const freeze = forksOf(plan);
    await context.printJson({
      schema: 'vmdkit-machine-clones/v1',
      source,
      point,
      into,
      ...(freeze.length === 0 ? {} : { freeze }),
      clones: results,
      totals,
      limits,
      ...(script === undefined ? {} : { 'register-script': resolve(script) }),
    });
  } else {
    const { machineSummaryText } = await import('./machine-clone-text.ts');
    for (const { error } of results) if (error !== undefined) context.warn(error.message);
    context.talk(machineSummaryText(plan, results));
    if (script !== undefined) context.talk(`to register them: sh ${script}`);
  }
}

async function assertScriptFree(path: string, { store, force }: CommandContext): Promise<void> {
  await store.resolve(dirname(resolve(path)));
  if (force || !(await store.exists(resolve(path)))) return;
  throw new VmdkError('refused', 'target-exists', 'the file for the register script exists already', {
    path,
    hint: 'Pass --force to replace it. No clone was made.',
  });
}

/** With --map, the script has the paths of the host. */
async function writeScript(
  path: string,
  { into }: MachineClonePlan,
  results: readonly MachineCloneResult[],
  { pathMap = [] }: MachineCloneOptions,
  { store }: CommandContext,
): Promise<void> {
  const made = results.flatMap(({ name, vmx, status, 'display-name': shown = name }) =>
    vmx !== undefined && status === 'created' ? [{ name: shown, vmx }] : [],
  );
  await store.replace(resolve(path), Buffer.from(registerScript(made, into, pathMap)));
}

function warn({ warnings }: MachineClonePlan, context: CommandContext): void {
  for (const { path, message } of warnings) {
    context.warn(path === undefined ? message : `${path}: ${message}`);
  }
}

// `vmdkit report`: what is known of a disk, or of a machine with all its disks, as one page; the same facts as JSON.
import { basename, dirname } from 'node:path';
import { usageError, VmdkError } from '../../core/errors.ts';
import type { ChainOptions } from '../../chain/chain-options.ts';
import { openContext } from '../../disk/open-options.ts';
import { reportDisk, reportFiles, type ReportOptions } from '../../examine/report-disk.ts';
import type {
  ReportDisk,
  ReportEvent,
  ReportFacts,
  ReportFile,
  ReportMachine,
} from '../../examine/report-facts.ts';
import { findSnapshotSigns } from '../../examine/signs.ts';
import { isMachinePath, type Machine } from '../../machine/machine.ts';
import type { MachineReport } from '../../machine/describe-machine.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { linkTimes, machineOf } from '../link-times.ts';
import { sizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { pointDisks } from '../points.ts';
import { hashingOf } from '../run-on-evidence.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.text('to');
  if (target === undefined && context.format === 'human') {
    throw usageError('report: where to?', 'Name the page with -o FILE.html, or print the facts with --json.');
  }
  if (target !== undefined) await assertFree(target, context);
  const facts = await context.withProgress((task) => factsOf(args, context, task));
  if (target !== undefined) {
    const { reportPage } = await import('../../examine/report-page.ts');
    await context.outputs.replace(target, Buffer.from(reportPage(facts, sizeText)));
    context.talk(`wrote ${shownPath(target)}`);
  }
  if (context.format !== 'human') await context.printJson(facts);
  return EXIT.done;
};

/** Before the work, not after it. */
async function assertFree(target: string, context: CommandContext): Promise<void> {
  if (!(await context.store.exists(dirname(target)))) {
    throw new VmdkError('missing', 'folder-missing', 'there is no folder for the report', { path: target });
  }
  if (context.force || !(await context.store.exists(target))) return;
  const hint = 'Pass --force to replace it.';
  throw new VmdkError('refused', 'target-exists', 'the target exists already', { path: target, hint });
}

type Task = Parameters<Parameters<CommandContext['withProgress']>[0]>[0];

async function factsOf(args: Arguments, context: CommandContext, task: Task): Promise<ReportFacts> {
  const path = args.operand('DISK_OR_VM');
  const chainOptions = { ...(await chainOptionsOf(args, context)), onFinding: undefined };
  const known = await machineOf(path, chainOptions, context);
  const options: ReportOptions = {
    ...chainOptions,
    ...task,
    hashes: hashingOf(args.text('hashes')),
    history: known === undefined ? undefined : linkTimes(known),
  };
  const machine =
    known === undefined || !isMachinePath(path) ? undefined : await describedMachine(known, context);
  const named = await namedDisks(args, machine, chainOptions, context);
  const disks: ReportDisk[] = [];
  for (const { name, path: disk, at } of named) {
    const { name: called, ...facts } = await reportDisk(name, disk, options);
    disks.push({ name: called, ...(at === undefined ? {} : { at }), ...facts });
  }
  const files = await reportFiles(
    context.store,
    named.map((each) => each.path),
    options,
  );
  const at = args.text('at');
  const [examiner, name] = [args.text('examiner'), args.text('case')];
  return {
    schema: 'vmdkit-report/v1',
    title:
      args.text('title') ??
      `Report on ${machine?.name ?? basename(path)}${at === undefined ? '' : ` at ${at}`}`,
    version: await context.version(),
    made: new Date().toISOString(),
    arguments: wordsOf(args),
    ...(examiner === undefined ? {} : { examiner }),
    ...(name === undefined ? {} : { case: name }),
    ...(machine === undefined ? {} : { machine: machineFacts(machine) }),
    disks,
    timeline: timelineOf(machine, files),
    files,
  };
}

interface NamedDisk {
  readonly name: string;
  readonly path: string;
  readonly at?: string | undefined;
}

/** Without a point, disks of a machine that are not there are left to its findings; at a point they are an error. */
async function namedDisks(
  args: Arguments,
  machine: MachineReport | undefined,
  options: ChainOptions,
  context: CommandContext,
): Promise<readonly NamedDisk[]> {
  const path = args.operand('DISK_OR_VM');
  const [at, node] = [args.text('at'), args.text('disk')];
  if (at !== undefined || node !== undefined) {
    const disks = await pointDisks({ path, at, node }, options, context);
    return disks.map((disk) => ({ name: disk.node ?? basename(disk.path), path: disk.path, at: disk.point }));
  }
  if (machine === undefined) {
    const { path: real } = await openContext(options).guard.assertNamedAllowed(path);
    return [{ name: basename(path), path: real }];
  }
  return machine.disks.flatMap(({ node: name, filename }) =>
    filename === undefined ? [] : [{ name, path: filename }],
  );
}

async function describedMachine(machine: Machine, { store }: CommandContext): Promise<MachineReport> {
  const { describeMachine } = await import('../../machine/describe-machine.ts');
  const report = describeMachine(machine);
  const signs = await findSnapshotSigns(store, machine.vmsdPath, machine.snapshots.snapshots);
  return { ...report, findings: [...report.findings, ...signs] };
}

/** What else than these was said changes how a page looks, not what it says. */
function wordsOf(args: Arguments): string[] {
  const options = ['at', 'disk', 'hashes'].flatMap((name) => {
    const value = args.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  return ['report', args.operand('DISK_OR_VM'), ...options];
}

function machineFacts(report: MachineReport): ReportMachine {
  const guest = report['guest-os'];
  return {
    name: report.name,
    filename: report.filename,
    power: String(report.power.state),
    ...(guest === undefined ? {} : { 'guest-os': guest }),
    snapshots: report.snapshots.map(({ uid, parent, name, description, created, current, disks }) => ({
      uid,
      ...(parent === undefined ? {} : { parent }),
      name,
      description,
      ...(created === undefined ? {} : { created }),
      current,
      disks: disks.map(({ node, file }) => `${node} ${file}`),
    })),
    findings: report.findings,
  };
}

function timelineOf(machine: MachineReport | undefined, files: readonly ReportFile[]): ReportEvent[] {
  const snapshots = (machine?.snapshots ?? []).flatMap(({ created, name, uid }): ReportEvent[] =>
    created === undefined
      ? []
      : [
          {
            time: created,
            kind: 'snapshot',
            what: `snapshot "${name}" (uid ${uid}) taken`,
            source: 'snapshot database',
          },
        ],
  );
  const writes = files.map(({ modified, filename }): ReportEvent => {
    return { time: modified, kind: 'file', what: `${basename(filename)} last written`, source: filename };
  });
  return [...snapshots, ...writes].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

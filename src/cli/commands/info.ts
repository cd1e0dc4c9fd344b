// `vmdkit info`: what a disk is, every link of its chain, or a whole machine. What cannot be read is described all the
// same.
import type { ChainOptions } from '../../chain/chain-options.ts';
import { usageError } from '../../core/errors.ts';
import { isMachinePath } from '../../machine/machine.ts';
import { describeDisk, describeLinks } from '../../operations/describe-chain.ts';
import type { DiskReport } from '../../operations/describe-disk.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { pointDisks, type PointDisk } from '../points.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const options = await chainOptionsOf(args, context);
  const named = args.operand('DISK');
  const [at, node] = [args.text('at'), args.text('disk')];
  if (isMachinePath(named) && at === undefined && node === undefined)
    return printMachine(named, options, args.flag('chain'), context);
  const disks = await pointDisks({ path: named, at, node }, options, context);
  if (disks.length > 1) return printDisks(disks, options, context);
  const path = disks[0]!.path;
  if (!args.flag('chain')) {
    const report = await describeDisk(path, options);
    if (context.format === 'human') await printText([report], context);
    else await context.printJson(report);
    return EXIT.done;
  }
  const { reports, failure } = await describeLinks(path, options);
  if (context.format === 'human') await printText(reports, context);
  else if (context.format === 'json') await context.printJson(reports);
  else for (const report of reports) await context.printJson(report);
  if (failure !== undefined) throw failure;
  return EXIT.done;
};

/** Of a machine at a snapshot: each of its disks. */
async function printDisks(
  disks: readonly PointDisk[],
  options: ChainOptions,
  context: CommandContext,
): Promise<number> {
  const reports: DiskReport[] = [];
  for (const { path } of disks) reports.push(await describeDisk(path, options));
  if (context.format === 'human') await printText(reports, context);
  else if (context.format === 'json') await context.printJson(reports);
  else for (const report of reports) await context.printJson(report);
  return EXIT.done;
}

async function printText(reports: readonly DiskReport[], context: CommandContext): Promise<void> {
  const { diskText } = await import('../describe-text.ts');
  const { paint } = context.stdout;
  const texts = reports.map((report) => diskText(report, paint).join('\n'));
  await context.stdout.line(texts.join('\n\n'));
}

async function printMachine(
  path: string,
  options: ChainOptions,
  chain: boolean,
  context: CommandContext,
): Promise<number> {
  if (chain) {
    const hint = 'info of a machine gives the chains of all its disks; for one disk, name its .vmdk.';
    throw usageError('--chain is for disks', hint);
  }
  const { openMachine } = await import('../../machine/open-machine.ts');
  const { describeMachine } = await import('../../machine/describe-machine.ts');
  const { signal } = context;
  const report = describeMachine(await openMachine(path, { ...options, onFinding: undefined, signal }));
  if (context.format !== 'human') {
    await context.printJson(report);
    return EXIT.done;
  }
  const { machineText } = await import('../machine-text.ts');
  const { paint } = context.stdout;
  await context.stdout.line(machineText(report, { paint, verbose: context.verbose }).join('\n'));
  return EXIT.done;
}

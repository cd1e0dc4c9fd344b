// `vmdkit resize`: another size for a disk without a parent, or with --tree for a base and all that stands on it. Without
// --tree, disks that others stand on are refused.
import { usageError } from '../../core/errors.ts';
import type { Bytes } from '../../core/units.ts';
import { printCid } from '../../format/content-id.ts';
import { resizeTree, type ResizeTreeOptions } from '../../machine/resize-tree.ts';
import { resizeDisk } from '../../operations/resize-disk.ts';
import { settleAround } from '../../operations/settle-around.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { warnOfInterrupted } from '../interrupted.ts';
import { exactSizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { refuseToBreakSharers } from '../sharers.ts';
import { shownPath } from '../shown-path.ts';
import { parseSize } from '../../core/sizes.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('DISK');
  const size = parseSize(args.operand('SIZE'), 'SIZE') as Bytes;
  const options = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  // What a killed run left may be in the disk's place: nothing can be looked at before.
  const dryRun = args.flag('dry-run');
  if (dryRun) await warnOfInterrupted(path, context);
  else await settleAround(context.store, path, { takeOver: context.force });
  if (args.flag('tree')) return resizeAll(path, size, { ...options, locked }, args, context);
  if (args.texts('scan').length > 0) throw usageError('--scan goes with --tree');
  await refuseToBreakSharers(path, 'another size for this disk', options, context);
  const { force } = context;
  const done = await context.withProgress((task) =>
    resizeDisk(path, size, { ...options, ...task, shrink: args.flag('shrink'), force, locked, dryRun }),
  );
  const { before, after, createType, cid } = done;
  if (context.format !== 'human') {
    const facts = { 'dry-run': dryRun, filename: done.path, 'create-type': createType, before, after };
    await context.printJson({
      schema: 'vmdkit-resize/v1',
      ...facts,
      ...(cid === undefined || dryRun ? {} : { cid: printCid(cid) }),
    });
  } else if (before === after) context.talk(`${path}: has ${exactSizeText(after)} already`);
  else if (dryRun) await context.stdout.line(`${path}: ${wouldBe(done)}`);
  else context.talk(`${path}: ${exactSizeText(before)} before, ${exactSizeText(after)} now`);
  return EXIT.done;
};

function wouldBe({ before, after }: { before: number; after: number }): string {
  return `${exactSizeText(before)}, would be ${exactSizeText(after)}`;
}

async function resizeAll(
  path: string,
  size: Bytes,
  options: ResizeTreeOptions,
  args: Arguments,
  context: CommandContext,
): Promise<number> {
  const [shrink, scan] = [args.flag('shrink'), args.texts('scan')];
  const { force } = context;
  const dryRun = args.flag('dry-run');
  const done = await context.withProgress((task) =>
    resizeTree(path, size, { ...options, ...task, shrink, scan, force, dryRun }),
  );
  const { before, after, disks } = done;
  for (const note of done.notes) context.warn(note);
  if (context.format !== 'human') {
    const all = disks.map((disk) => ({
      filename: disk.path,
      'create-type': disk.createType,
      ...(dryRun ? {} : { cid: printCid(disk.cid) }),
    }));
    const facts = { 'dry-run': dryRun, filename: path, before, after, disks: all };
    await context.printJson({ schema: 'vmdkit-resize/v1', ...facts });
  } else if (before === after) context.talk(`${path}: has ${exactSizeText(after)} already`);
  else {
    for (const disk of disks) {
      if (dryRun) await context.stdout.line(`${shownPath(disk.path)}: ${wouldBe(done)}`);
      else
        context.talk(`${shownPath(disk.path)}: ${exactSizeText(before)} before, ${exactSizeText(after)} now`);
    }
  }
  return EXIT.done;
}

// `vmdkit resize`: another size for a disk without a parent. Disks that others stand on are refused.
import type { Bytes } from '../../core/units.ts';
import { printCid } from '../../format/content-id.ts';
import { resizeDisk } from '../../operations/resize-disk.ts';
import { settleAround } from '../../operations/settle-around.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { exactSizeText } from '../numbers.ts';
import { refuseToBreakSharers } from '../sharers.ts';
import { parseSize } from '../sizes.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('DISK');
  const size = parseSize(args.operand('SIZE'), 'SIZE') as Bytes;
  const options = await chainOptionsOf(args, context);
  const locked = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  // What a killed run left may be in the disk's place: nothing can be looked at before.
  await settleAround(context.store, path, { takeOver: context.force });
  await refuseToBreakSharers(path, 'another size for this disk', options, context);
  const { force } = context;
  const done = await context.withProgress((task) =>
    resizeDisk(path, size, { ...options, ...task, shrink: args.flag('shrink'), force, locked }),
  );
  const { before, after, createType, cid } = done;
  if (context.format !== 'human') {
    const facts = { filename: done.path, 'create-type': createType, before, after };
    await context.printJson({
      schema: 'vmdkit-resize/v1',
      ...facts,
      ...(cid === undefined ? {} : { cid: printCid(cid) }),
    });
  } else if (before === after) context.talk(`${path}: has ${exactSizeText(after)} already`);
  else context.talk(`${path}: ${exactSizeText(before)} before, ${exactSizeText(after)} now`);
  return EXIT.done;
};

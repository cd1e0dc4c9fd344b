// `vmdkit create`: a new, empty disk, or with --backing a new delta above a disk.
import { usageError } from '../../core/errors.ts';
import { createDelta } from '../../operations/create-delta.ts';
import { createDisk } from '../../operations/create-disk.ts';
import { allocatedBytes, type DiskPlan } from '../../operations/disk-plan.ts';
import { printCid, NO_PARENT_CID } from '../../format/content-id.ts';
import { bytes, SECTOR_BYTES } from '../../core/units.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { noteSharers } from '../sharers.ts';
import { parseSize, toSectors } from '../../core/sizes.ts';

/** Options that only a disk of its own has; a delta takes these after its parent. */
const FOR_BASES = ['adapter', 'hardware-version', 'thin', 'preallocate'] as const;

export const run: CommandModule['run'] = async (args, context) => {
  const plan =
    args.text('backing') === undefined ? await newDisk(args, context) : await newDelta(args, context);
  const result = {
    schema: 'vmdkit-create/v1',
    filename: plan.descriptorPath,
    'create-type': plan.createType,
    'virtual-size': plan.capacity * SECTOR_BYTES,
    'actual-size': allocatedBytes(plan),
    cid: printCid(plan.cid),
    ...(plan.parentCid === NO_PARENT_CID ? {} : { 'parent-cid': printCid(plan.parentCid) }),
    ...(plan.parentFileNameHint === undefined ? {} : { hint: plan.parentFileNameHint }),
    files: plan.files.map(({ path }) => path),
    notes: plan.notes,
  };
  if (context.format !== 'human') await context.printJson(result);
  else {
    const { exactSizeText, sizeText } = await import('../numbers.ts');
    const above = result.hint === undefined ? '' : `, above ${result.hint}`;
    context.talk(
      `${plan.descriptorPath}: ${plan.createType}, ${exactSizeText(result['virtual-size'])}${above}, ${sizeText(result['actual-size'])} on disk`,
    );
    for (const note of plan.notes) context.warn(`${plan.descriptorPath}: ${note}`);
  }
  return EXIT.done;
};

function newDisk(args: Arguments, context: CommandContext): Promise<DiskPlan> {
  const size = args.optionalOperand('SIZE');
  if (size === undefined) {
    throw usageError(
      'create needs SIZE, or --backing PARENT for a delta',
      'For example: vmdkit create disk.vmdk 40G',
    );
  }
  if (args.text('hint') !== undefined) throw usageError('--hint goes with --backing');
  return context.withProgress((task) =>
    createDisk(args.operand('DISK'), bytes(parseSize(size, 'SIZE')), {
      ...task,
      ...shared(args, context),
      adapter: args.text('adapter'),
      hardwareVersion: args.count('hardware-version'),
      thin: args.flag('thin') || undefined,
      preallocate: args.flag('preallocate') || undefined,
    }),
  );
}

async function newDelta(args: Arguments, context: CommandContext): Promise<DiskPlan> {
  if (args.optionalOperand('SIZE') !== undefined) {
    throw usageError('a delta has the size of its parent: SIZE and --backing do not go together');
  }
  for (const name of FOR_BASES) {
    const given = name === 'thin' || name === 'preallocate' ? args.flag(name) : args.text(name) !== undefined;
    if (given) throw usageError(`--${name} does not go with --backing`);
  }
  const options = await chainOptionsOf(args, context);
  const base = args.text('backing')!;
  const plan = await context.withProgress((task) =>
    createDelta(args.operand('DISK'), base, {
      ...options,
      ...task,
      ...shared(args, context),
      hint: args.text('hint'),
    }),
  );
  await noteSharers([{ base, path: plan.descriptorPath }], context, args);
  return plan;
}

function shared(args: Arguments, context: CommandContext) {
  const grain = args.bytes('grain');
  return {
    fs: context.store,
    type: args.text('type'),
    ...(grain === undefined ? {} : { grainSize: toSectors(grain, '--grain') }),
  };
}

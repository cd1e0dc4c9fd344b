// `vmdkit measure`: how many bytes convert would take. Nothing is written.
import { SECTOR_BYTES } from '../../core/units.ts';
import { measureDisk } from '../../operations/measure-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { conversionOptions } from '../conversion-options.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const source = args.operand('SRC');
  const options = { ...(await chainOptionsOf(args, context)), ...conversionOptions(args) };
  const measured = await context.withProgress((task) =>
    measureDisk(source, { ...options, ...task, backing: args.text('backing'), name: args.text('name') }),
  );
  const { plan, required, fullyAllocated, written } = measured;
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-measure/v1',
      filename: source,
      format: plan.createType === 'raw' ? 'raw' : 'vmdk',
      ...(plan.createType === 'raw' ? {} : { 'create-type': plan.createType }),
      'virtual-size': plan.capacity * SECTOR_BYTES,
      required,
      'fully-allocated': fullyAllocated,
      written,
    });
    return EXIT.done;
  }
  // The words of qemu-img, for the scripts that read them.
  await context.stdout.line(`required size: ${required}`);
  await context.stdout.line(`fully allocated size: ${fullyAllocated}`);
  return EXIT.done;
};

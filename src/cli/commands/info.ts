// `vmdkit info`: what a disk is, or every link of its chain. A disk that cannot be read is described all the same.
import { describeDisk, describeLinks } from '../../operations/describe-chain.ts';
import type { DiskReport } from '../../operations/describe-disk.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const options = await chainOptionsOf(args, context);
  const path = args.operand('DISK');
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

async function printText(reports: readonly DiskReport[], context: CommandContext): Promise<void> {
  const { diskText } = await import('../describe-text.ts');
  const { paint } = context.stdout;
  const texts = reports.map((report) => diskText(report, paint).join('\n'));
  await context.stdout.line(texts.join('\n\n'));
}

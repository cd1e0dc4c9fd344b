// `vmdkit recover`: what can be read of a disk that lost a part of itself, as a new descriptor or a raw file. Sources are
// only read. Exit code 1 says that something is lost, and the list says what.
import { usageError } from '../../core/errors.ts';
import { recoverDisk, type RecoverReport } from '../../operations/recover.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural, sizeText } from '../numbers.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.text('to');
  if (target === undefined) throw usageError('recover needs -o DST', 'For example: -o web-01.vmdk');
  const options = await chainOptionsOf(args, context);
  const report = await context.withProgress((task) =>
    recoverDisk(args.operands('SRC'), target, { ...options, ...task, parent: args.text('parent') }),
  );
  if (context.format === 'human') await context.stdout.line(reportLines(report).join('\n'));
  else await context.printJson(report);
  return report.lost.length === 0 ? EXIT.done : EXIT.no;
};

function reportLines(report: RecoverReport): string[] {
  const what =
    report.made === 'raw'
      ? 'the contents as a raw file'
      : `a descriptor of type ${report['create-type']}, CID ${report.cid}`;
  const size = sizeText(report['virtual-size']);
  return [
    `${shownPath(report.filename)}: ${what}, a disk of ${size}`,
    ...report.lost.map(({ what: lost, start, count }) => {
      const place =
        start === undefined ? '' : ` (${plural(count ?? 0, 'sector')} from sector ${start} of the disk on)`;
      return `  lost: ${lost}${place}`;
    }),
  ];
}

// `vmdkit recover`: what can be read of a disk that lost a part of itself, as something new. Sources are only read.
// Exit code 1 says that something is lost, and the list says what.
import { usageError } from '../../core/errors.ts';
import { recoverDisk, type RecoverReport } from '../../operations/recover.ts';
import { recoverFolder, type RecoverFolderReport } from '../../operations/recover-folder.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural, sizeText } from '../numbers.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.text('to');
  if (target === undefined) throw usageError('recover needs -o DST', 'For example: -o web-01.vmdk');
  const options = await chainOptionsOf(args, context);
  const sources = args.operands('SRC');
  const folder = await folderOf(sources, target, context);
  const parent = args.text('parent');
  const report = await context.withProgress<RecoverReport | RecoverFolderReport>((task) =>
    folder === undefined
      ? recoverDisk(sources, target, { ...options, ...task, parent })
      : recoverFolder(folder, { ...options, ...task, parent }),
  );
  if (context.format === 'human') await context.stdout.line(reportLines(report).join('\n'));
  else await context.printJson(report);
  return report.lost.length === 0 ? EXIT.done : EXIT.no;
};

/** The one folder whose disks are to get their descriptors back, in it. */
async function folderOf(
  sources: readonly string[],
  target: string,
  { store }: CommandContext,
): Promise<string | undefined> {
  const places = await Promise.all(sources.map((path) => store.resolve(path)));
  if (!places.some(({ kind }) => kind === 'folder')) return undefined;
  const there = (await store.exists(target)) ? await store.resolve(target) : undefined;
  if (places.length === 1 && there?.identity === places[0]!.identity) return sources[0]!;
  throw usageError(
    'descriptors stand beside their extents',
    'For all disks of a folder name it twice: vmdkit recover FOLDER -o FOLDER',
  );
}

function reportLines(report: RecoverReport | RecoverFolderReport): string[] {
  const made =
    'disks' in report
      ? report.disks.map((disk) => madeLine({ ...disk, made: 'descriptor' }))
      : [madeLine(report)];
  return [
    ...made,
    ...report.lost.map(({ what: lost, start, count }) => {
      const place =
        start === undefined ? '' : ` (${plural(count ?? 0, 'sector')} from sector ${start} of the disk on)`;
      return `  lost: ${lost}${place}`;
    }),
    ...warningsOf(report).map((warning) => `  may be lost: ${warning}`),
  ];
}

function warningsOf(report: RecoverReport | RecoverFolderReport): readonly string[] {
  if (!('disks' in report)) return report.warnings ?? [];
  return report.disks.flatMap(({ filename, warnings = [] }) =>
    warnings.map((warning) => `${shownPath(filename)}: ${warning}`),
  );
}

function madeLine(report: Omit<RecoverReport, 'schema'>): string {
  const cid = report.cid === undefined ? '' : `, CID ${report.cid}`;
  const what = {
    raw: 'the contents as a raw file',
    disk: `a disk of type ${report['create-type']}${cid}`,
    descriptor: `a descriptor of type ${report['create-type']}${cid}`,
  }[report.made];
  const above =
    report.parent === undefined ? '' : `, above ${shownPath(report.parent)} (by ${report['parent-by']})`;
  return `${shownPath(report.filename)}: ${what}, ${sizeText(report['virtual-size'])}${above}`;
}

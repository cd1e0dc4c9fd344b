// `vmdkit check`: what is wrong with a disk or a chain. The verdict comes first, then what was found, worst first, then
// what to do. Nothing is changed.
import type { Finding } from '../../core/finding.ts';
import { checkDisk, type CheckReport, type LinkCheck } from '../../operations/check-disk.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural, sizeText } from '../numbers.ts';
import type { Paint } from '../output.ts';
import { shownPath } from '../shown-path.ts';

const REPAIR_OPTIONS = ['plan', 'repair', 'undo', 'fit-cid', 'cut-leaks', 'undo-record'] as const;
/** Findings shown of one code, unless --verbose asks for all. */
const SHOWN_PER_CODE = 10;
const SEVERITIES = ['error', 'warning', 'info'] as const;
const COLOURS = { error: 'red', warning: 'yellow', info: 'dim' } as const;

export const run: CommandModule['run'] = async (args, context) => {
  // Most checks repair nothing, and what that takes is a good part of the command.
  if (REPAIR_OPTIONS.some((name) => args.flag(name)))
    return (await import('./check-repair.ts')).runRepair(args, context);
  const options = await chainOptionsOf(args, context);
  const wanted = { chain: args.flag('chain'), deep: args.flag('deep') };
  const report = await context.withProgress((task) =>
    checkDisk(args.operand('DISK'), { ...options, ...wanted, ...task }),
  );
  if (context.format === 'human') {
    const lines = reportLines(report, context.verbose, context.stdout.paint);
    await context.stdout.line(lines.join('\n'));
  } else await context.printJson(report);
  return { sound: EXIT.done, damaged: EXIT.no, unchecked: EXIT.failed }[report.verdict];
};

function reportLines(report: CheckReport, verbose: boolean, paint: Paint): string[] {
  const { links = [] } = report;
  return [
    verdictLine(report, paint),
    ...(links.length > 1 ? links.map((link) => `  ${verdictLine(link, paint)}`) : []),
    ...SEVERITIES.flatMap((severity) => findingLines(report, severity, verbose, paint)),
    sizesLine(report),
    ...adviceLines(report),
  ];
}

function verdictLine(report: LinkCheck, paint: Paint): string {
  const { verdict } = report;
  const word = verdict === 'unchecked' ? 'could not be checked in full' : verdict;
  const shown = paint(verdict === 'sound' ? 'green' : verdict === 'damaged' ? 'red' : 'yellow', word);
  const found = [
    ...(report.corruptions > 0 ? [plural(report.corruptions, 'error')] : []),
    ...(numberOf(report, 'warning') > 0 ? [plural(numberOf(report, 'warning'), 'warning')] : []),
  ];
  return `${shownPath(report.filename)}: ${shown}${found.length === 0 ? '' : `: ${found.join(', ')}`}`;
}

function numberOf({ counts }: LinkCheck, severity: Finding['severity']): number {
  return counts.reduce((sum, each) => (each.severity === severity ? sum + each.count : sum), 0);
}

function findingLines(
  report: CheckReport,
  severity: Finding['severity'],
  verbose: boolean,
  paint: Paint,
): string[] {
  if (severity === 'info' && !verbose) return [];
  return report.counts
    .filter((each) => each.severity === severity)
    .flatMap(({ code, count }) => {
      const kept = report.problems.filter((each) => each.code === code && each.severity === severity);
      const shown = verbose ? kept : kept.slice(0, SHOWN_PER_CODE);
      const lines = shown.map((each) => findingLine(each, paint));
      if (count > shown.length)
        lines.push(`  … and ${plural(count - shown.length, 'more finding')} of ${code}`);
      return lines;
    });
}

function findingLine({ code, severity, message, path, offset, repairable }: Finding, paint: Paint): string {
  const place = offset === undefined ? shownPath(path) : `${shownPath(path)} at byte ${offset}`;
  const repair = repairable && severity === 'error' ? '; can be repaired' : '';
  return `  ${paint(COLOURS[severity], severity)} ${paint('bold', code)}: ${message} (${place}${repair})`;
}

function sizesLine(report: CheckReport): string {
  const { 'total-clusters': total, 'allocated-clusters': allocated, 'leaked-bytes': leaked } = report;
  const grains = total === 0 ? 'no grains' : `${allocated} of ${plural(total, 'grain')} allocated`;
  return `  ${grains}, ${leaked === 0 ? 'no space lost' : `${sizeText(leaked)} of file space lost`}`;
}

/** What to do about codes that were found, most urgent first. */
const ADVICE: readonly (readonly [codes: RegExp, advice: string])[] = [
  [/^NEWLINE$/, 'The file went through a text-mode transfer: fetch it again in binary mode.'],
  [/^LOCK$/, 'Stop the program that writes to the disk, then check again.'],
  [/^(?:TRUNC|EXT-SIZE|EXT-MISSING)$/, 'Fetch again what is cut short or missing from where it came from.'],
  [/^CHAIN-MISSING$/, 'Tell where the parent is with --map FROM=TO, or name its folder with --allow DIR.'],
  [
    /^CHAIN-CID$/,
    'Put back the parent as it was when this disk was made; what is read over another is wrong.',
  ],
  [
    /^DESC-HALF-(?:MERGED|PATCHED)$/,
    'Finish what was stopped, with the command that began it; nothing else is to write to the disk.',
  ],
  [/^EXT-OUTSIDE$/, 'Only if you trust the disk: allow the folder it leads to with --allow DIR.'],
];

function adviceLines(report: CheckReport): string[] {
  const codes = report.counts.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
  const lines = ADVICE.filter(([pattern]) => codes.some((code) => pattern.test(code))).map(
    ([, text]) => text,
  );
  // What was stopped half-way is no damage: the way out is to write.
  const errors = report.problems.filter(
    ({ severity, code }) => severity === 'error' && !code.startsWith('DESC-HALF-'),
  );
  if (errors.length > 0) {
    lines.push(
      errors.every(({ repairable }) => repairable)
        ? 'Do not write to it. Everything that is damaged can be put right from a copy in the file itself: see --plan.'
        : 'Do not write to it. Copy all of its files first, then save what can be read.',
    );
  } else {
    if (codes.includes('UNCLEAN'))
      lines.push('The next program that opens it for writing settles what is open.');
    if (codes.includes('LEAK')) lines.push('Copying the disk to a new one wins the lost space back.');
  }
  return lines;
}

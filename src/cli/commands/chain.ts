// `vmdkit chain`: the links of a chain from leaf to base, with every check. A broken chain is shown as far as it can be
// looked at; then comes the error.
import {
  describeChain,
  type ChainReport,
  type FoundBy,
  type LinkReport,
} from '../../operations/describe-chain.ts';
import { showText } from '../../format/plain-text.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural, sizeText } from '../numbers.ts';
import { pointDisks, type PointDisk } from '../points.ts';
import type { Paint } from '../output.ts';
import { shownPath } from '../shown-path.ts';

const FOUND_BY: Readonly<Record<FoundBy, string>> = {
  named: 'named',
  'path-map': 'path map',
  hint: 'hint',
  'same-folder': 'same folder',
  'neighbour-folder': 'neighbour folder',
  'cid-search': 'CID search',
};

export const run: CommandModule['run'] = async (args, context) => {
  const options = await chainOptionsOf(args, context);
  const request = { path: args.operand('DISK'), at: args.text('at'), node: args.text('disk') };
  const disks = await pointDisks(request, options, context);
  const described = [];
  for (const disk of disks) described.push({ disk, ...(await describeChain(disk.path, options)) });
  if (context.format === 'json' && described.length > 1) {
    await context.printJson(described.map(({ report }) => report));
  } else {
    for (const { disk, report, failure } of described) {
      if (context.format !== 'human') await context.printJson(report);
      else await printText(report, failure !== undefined, disk, context);
    }
  }
  for (const { failure } of described) if (failure !== undefined) throw failure;
  return EXIT.done;
};

async function printText(
  report: ChainReport,
  broken: boolean,
  { node, point }: PointDisk,
  context: CommandContext,
): Promise<void> {
  const { inColumns } = await import('../columns.ts');
  const { findingLines } = await import('../describe-text.ts');
  const { paint } = context.stdout;
  const lines = inColumns(
    [
      { head: 'DEPTH', align: 'right' },
      { head: 'TYPE' },
      { head: 'CID' },
      { head: 'PARENT CID' },
      { head: 'SIZE', align: 'right' },
      { head: 'ON DISK', align: 'right' },
      { head: 'GRAIN', align: 'right' },
      { head: 'FOUND BY' },
      { head: 'FILE' },
    ],
    report.links.map((link) => row(link, paint)),
  );
  if (node !== undefined) lines.unshift(`${node}, ${point}:`);
  for (const link of report.links) {
    if (link.hint !== undefined && context.verbose) {
      lines.push(`hint of ${shownPath(link.filename)}: "${showText(link.hint)}"`);
    }
  }
  const findings = report.links.flatMap((link) => link.findings);
  // What stops the chain is told as the error that follows.
  lines.push(...findingLines(broken ? findings : [...findings, ...report.findings], paint), summary(report));
  await context.stdout.line(lines.join('\n'));
}

function row(link: LinkReport, paint: Paint): string[] {
  const fits = link['parent-fits'];
  const parent = link['parent-cid'] ?? 'base';
  const mark = fits === undefined ? '' : fits ? ` ${paint('green', 'fits')}` : ` ${paint('red', 'differs')}`;
  const grain = link['cluster-size'];
  return [
    String(link.depth),
    link['create-type'],
    link.cid ?? 'none',
    parent + mark,
    sizeText(link['virtual-size']),
    sizeText(link['actual-size']),
    grain === undefined ? '' : sizeText(grain),
    FOUND_BY[link['found-by']],
    shownPath(link.filename) + (link.readable ? '' : paint('red', ' (cannot be read)')),
  ];
}

function summary({ links, complete, ...report }: ChainReport): string {
  const sizes = `${sizeText(report['virtual-size'])}, ${sizeText(report['actual-size'])} on disk`;
  return `${plural(links.length, 'link')}, ${sizes}: ${complete ? 'the chain is complete' : 'the chain is broken'}`;
}

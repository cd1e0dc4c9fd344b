// `vmdkit which`: which link, file and byte answer a sector, what the links below had there, and since when.
import type { Chain } from '../../chain/chain.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import type { FilesOfSector } from '../../examine/which-file.ts';
import { whichLink, type LinkSector, type SectorAnswer } from '../../examine/which.ts';
import { withChain, readingOptionsOf } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import { linkTimes, machineOf, type LinkTimes } from '../link-times.ts';
import { nameText } from '../file-text.ts';
import { grouped } from '../numbers.ts';
import { shownPath } from '../shown-path.ts';
import { parseSize } from '../../core/sizes.ts';

export const run: CommandModule['run'] = (args, context) =>
  withChain(args, context, async (chain) => {
    const byte = addressOf(args.operand('ADDRESS'));
    const answer = await whichLink(chain, Math.floor(byte / SECTOR_BYTES));
    const options = await readingOptionsOf(args, context);
    const machine = await machineOf(args.operand('DISK'), options, context);
    const times = machine === undefined ? new Map<string, LinkTimes>() : linkTimes(machine);
    const files = args.flag('files') ? await filesAt(chain, answer.sector, context) : undefined;
    if (context.format === 'human') {
      const lines = [...(await textOf(answer, byte, times)), ...fileLines(files, byte)];
      await context.stdout.line(lines.join('\n'));
    } else await context.printJson({ ...jsonOf(answer, byte, times), ...filesJson(files) });
    return EXIT.done;
  });

async function filesAt(chain: Chain, sector: number, context: CommandContext): Promise<FilesOfSector> {
  const { filesOfSector } = await import('../../examine/which-file.ts');
  return context.withProgress((task) => filesOfSector(chain.leaf.path, chain, sector, task));
}

function fileLines(found: FilesOfSector | undefined, byte: number): string[] {
  if (found === undefined) return [];
  const { partition, fileSystem, files, problems } = found;
  if (partition === undefined) return ['it is in no partition'];
  const place = partition === 0 ? 'the disk' : `partition ${partition}`;
  const holders = files.map(({ path, inode, size, offset }) => {
    const at = offset + (byte % SECTOR_BYTES);
    const slack = at < size ? '' : ', which ends before it: slack of the file';
    return `file ${inode} of ${place} (${fileSystem}), byte ${grouped(at)} of ${nameText(path)}${slack}`;
  });
  const nobody =
    fileSystem === undefined ? [] : [`in no file of ${place} (${fileSystem}): its own structures, or free`];
  return [
    ...(holders.length === 0 ? nobody : holders),
    ...problems.map((text) => `could not be read: ${text}`),
  ];
}

function filesJson(found: FilesOfSector | undefined): object {
  if (found === undefined) return {};
  const { partition, fileSystem, files, problems } = found;
  return {
    ...(partition === undefined ? {} : { partition }),
    ...(fileSystem === undefined ? {} : { 'file-system': fileSystem }),
    files,
    'file-problems': problems,
  };
}

/** Bytes: `4096s`, `1M`, `2097152`, `0x200000`. */
function addressOf(text: string): number {
  const hex = /^0x([0-9a-f]{1,13})$/i.exec(text)?.[1];
  return hex === undefined ? parseSize(text, 'ADDRESS') : parseInt(hex, 16);
}

async function textOf(
  answer: SectorAnswer,
  byte: number,
  times: ReadonlyMap<string, LinkTimes>,
): Promise<string[]> {
  const { snapshotShown } = await import('../../machine/find-snapshot.ts');
  const { inColumns } = await import('../columns.ts');
  const said = (link: LinkSector): string => {
    const { frozenBy, begunBy, running = false } = times.get(link.identity) ?? {};
    return [
      ...(begunBy === undefined ? [] : [`written since ${snapshotShown(begunBy)}`]),
      ...(frozenBy === undefined ? [] : [`as it is since ${snapshotShown(frozenBy)}`]),
      ...(running ? ['the machine runs on it'] : []),
    ].join('; ');
  };
  const answering = answer.links.find(({ depth }) => depth === answer.answeredBy);
  const head = `sector ${grouped(answer.sector)}, byte ${grouped(byte)} (0x${byte.toString(16)}): ${answerText(answering, byte)}`;
  const rows = answer.links.map((link) => [
    `${link.depth}${link.depth === answer.answeredBy ? ' *' : ''}`,
    link.state,
    link.offset === undefined ? '' : `0x${link.offset.toString(16)}`,
    link.file === undefined ? '' : shownPath(link.file),
    link.sha256?.slice(0, 16) ?? '',
    shownPath(link.path),
  ]);
  const columns = ['LINK', 'STATE', 'OFFSET', 'FILE', 'SHA-256 OF SECTOR', 'DISK'].map((head) => ({ head }));
  const when = answer.links
    .map((link) => ({ link, text: said(link) }))
    .filter(({ text }) => text !== '')
    .map(({ link, text }) => `link ${link.depth}: ${text}`);
  const problems = answer.links.flatMap(({ depth, problem }) =>
    problem === undefined ? [] : [`link ${depth}: ${problem}`],
  );
  const sum = answer.sha256 === undefined ? [] : [`SHA-256 of the sector: ${answer.sha256}`];
  return [head, ...inColumns(columns, rows), ...when, ...problems, ...sum];
}

function answerText(link: LinkSector | undefined, byte: number): string {
  if (link === undefined) return 'no link has it';
  if (link.state === 'zero') return `zeros, by link ${link.depth}`;
  if (link.file === undefined) return `lost in link ${link.depth}`;
  const within = link.offset! + (byte % SECTOR_BYTES);
  return link.compressed === true
    ? `link ${link.depth}, in the compressed grain at byte ${grouped(link.offset!)} of ${shownPath(link.file)}`
    : `link ${link.depth}, byte ${grouped(within)} (0x${within.toString(16)}) of ${shownPath(link.file)}`;
}

function jsonOf(answer: SectorAnswer, byte: number, times: ReadonlyMap<string, LinkTimes>): object {
  return {
    schema: 'vmdkit-which/v1',
    sector: answer.sector,
    byte,
    ...(answer.answeredBy === undefined ? {} : { 'answered-by': answer.answeredBy }),
    ...(answer.sha256 === undefined ? {} : { sha256: answer.sha256 }),
    links: answer.links.map(({ path, identity, file, ...link }) => {
      const { frozenBy, begunBy, running = false } = times.get(identity) ?? {};
      return {
        depth: link.depth,
        filename: path,
        state: link.state,
        ...(file === undefined ? {} : { file, offset: link.offset, compressed: link.compressed }),
        ...(link.sha256 === undefined ? {} : { sha256: link.sha256 }),
        ...(link.problem === undefined ? {} : { problem: link.problem }),
        ...(begunBy === undefined ? {} : { 'written-since': snapshotJson(begunBy) }),
        ...(frozenBy === undefined ? {} : { 'unchanged-since': snapshotJson(frozenBy) }),
        running,
      };
    }),
  };
}

function snapshotJson({ uid, displayName, createdAt }: NonNullable<LinkTimes['frozenBy']>) {
  return { uid, name: displayName, ...(createdAt === undefined ? {} : { created: createdAt }) };
}

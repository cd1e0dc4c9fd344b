// `vmdkit ls`: the file systems of a disk, and the files in one of them, with where they lie.
import { isVmdkError } from '../../core/errors.ts';
import type { Chain } from '../../chain/chain.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import type { FileNode, FileSystem } from '../../examine/file-system.ts';
import {
  chooseFileSystem,
  findFileSystems,
  type FoundFileSystems,
  type FoundVolume,
} from '../../examine/find-file-systems.ts';
import { findFile } from '../../examine/read-file.ts';
import { walkFiles, type WalkedFile } from '../../examine/walk-files.ts';
import { withChain } from '../chain-read.ts';
import { inColumns } from '../columns.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import { fileJson, modeText, nameText, shortTime, stretchJson, volumeJson } from '../file-text.ts';
import { grouped, sizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';

const LINES_AT_ONCE = 500;

export const run: CommandModule['run'] = (args, context) =>
  withChain(args, context, async (chain) => {
    const found = await findFileSystems(chain.leaf.path, chain);
    const path = args.optionalOperand('PATH');
    const number = args.count('partition');
    const readable = found.volumes.filter(({ fileSystem }) => fileSystem !== undefined);
    if (path === undefined && number === undefined && readable.length !== 1) {
      await printVolumes(chain, found, context);
      return readable.length === 0 ? EXIT.no : EXIT.done;
    }
    const volume = chooseFileSystem(chain.leaf.path, found, number);
    for (const { message } of volume.fileSystem.findings) context.warn(message);
    const listing: Listing = {
      volume,
      fileSystem: volume.fileSystem,
      problems: 0,
      ranges: args.flag('ranges'),
    };
    const files = filesOf(listing, path ?? '/', args, context);
    await (context.format === 'human'
      ? printText(listing, files, context)
      : printAsJson(listing, chain, found, path ?? '/', files, context));
    return listing.problems === 0 ? EXIT.done : EXIT.no;
  });

interface Listing {
  readonly volume: FoundVolume;
  readonly fileSystem: FileSystem;
  readonly ranges: boolean;
  problems: number;
}

async function* filesOf(
  listing: Listing,
  path: string,
  args: Arguments,
  context: CommandContext,
): AsyncGenerator<WalkedFile> {
  const { fileSystem } = listing;
  const node = await findFile(fileSystem, path);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  const prefix = parts.map((part) => `/${part}`).join('');
  if (node.kind !== 'folder') return yield { path: prefix, node };
  if (!args.flag('recursive')) {
    for (const entry of await fileSystem.list(node)) yield { path: `${prefix}/${entry.name}`, node: entry };
    return;
  }
  yield* walkFiles(fileSystem, node, prefix, {
    signal: context.signal,
    onProblem(where, message) {
      listing.problems++;
      context.warn(`${nameText(where)}: ${message}`);
    },
  });
}

async function printVolumes(chain: Chain, found: FoundFileSystems, context: CommandContext): Promise<void> {
  const { volumes } = found;
  if (context.format === 'ndjson') {
    for (const volume of volumes) await context.printJson(volumeJson(volume));
    return;
  }
  if (context.format === 'json') return context.printJson(head(chain, found));
  const heads = [
    { head: 'PARTITION', align: 'right' as const },
    { head: 'START', align: 'right' as const },
    { head: 'SIZE', align: 'right' as const },
    { head: 'FILE SYSTEM' },
    { head: 'LABEL' },
    { head: 'DESCRIPTION' },
  ];
  const rows = volumes.map(({ number, start, count, description, fileSystem, problem }) => [
    number === 0 ? '' : String(number),
    `${start}s`,
    sizeText(count * SECTOR_BYTES),
    fileSystem?.kind ?? firstLine(problem),
    nameText(fileSystem?.label ?? ''),
    nameText(description),
  ]);
  await context.stdout.line(inColumns(heads, rows).join('\n'));
  if (volumes.some(({ fileSystem }) => fileSystem !== undefined)) {
    context.talk('Name a partition to list its files: --partition N');
  }
}

function firstLine(problem: FoundVolume['problem']): string {
  const text = problem?.message.split('\n')[0] ?? '';
  return nameText(text.replace(`${problem?.context.path}: `, '').replace(/ \(sector \d+ of the disk\)/, ''));
}

function head(chain: Chain, { table, volumes }: FoundFileSystems): Record<string, unknown> {
  return {
    schema: 'vmdkit-ls/v1',
    filename: chain.leaf.path,
    'partition-scheme': table.scheme,
    volumes: volumes.map(volumeJson),
  };
}

async function printAsJson(
  listing: Listing,
  chain: Chain,
  found: FoundFileSystems,
  path: string,
  files: AsyncGenerator<WalkedFile>,
  context: CommandContext,
): Promise<void> {
  const lines = context.format === 'ndjson';
  if (!lines) {
    const opening = { ...head(chain, found), partition: listing.volume.number, path };
    await context.stdout.write(JSON.stringify(opening, undefined, 2).replace(/\n\}$/, ',\n  "files": ['));
  }
  let separator = '\n    ';
  for await (const { path: where, node } of files) {
    const value = {
      ...fileJson(listing.fileSystem, where, node),
      ...(await moreOf(listing, where, node, context)),
    };
    if (lines) await context.printJson(value);
    else await context.stdout.write(separator + JSON.stringify(value));
    separator = ',\n    ';
  }
  if (!lines) await context.stdout.write(separator.startsWith(',') ? '\n  ]\n}\n' : ']\n}\n');
}

/** Where a link leads and, where it is asked for, where a file lies. */
async function moreOf(
  listing: Listing,
  path: string,
  node: FileNode,
  context: CommandContext,
): Promise<Record<string, unknown>> {
  if (node.kind !== 'link' && !listing.ranges) return {};
  try {
    const { stretches, inline } = await listing.fileSystem.contents(node);
    const target = node.kind === 'link' ? { target: await targetOf(listing, node, inline) } : {};
    if (!listing.ranges) return target;
    const kept = inline === undefined ? {} : { inline: true };
    return { ...target, ranges: stretches.map(stretchJson), ...kept };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    listing.problems++;
    context.warn(`${nameText(path)}: ${error.message}`);
    return { problem: error.message.split('\n')[0] };
  }
}

async function targetOf(
  { fileSystem }: Listing,
  node: FileNode,
  inline: Uint8Array | undefined,
): Promise<string> {
  if (inline !== undefined) return Buffer.from(inline).toString('utf8');
  const { stretches } = await fileSystem.contents(node);
  const first = stretches[0];
  if (first === undefined) return '';
  const at = (first.start - fileSystem.volume.start) * SECTOR_BYTES;
  return (await fileSystem.volume.read(at, Math.min(node.size, 4096))).toString('utf8');
}

async function printText(
  listing: Listing,
  files: AsyncGenerator<WalkedFile>,
  context: CommandContext,
): Promise<void> {
  const { fileSystem } = listing;
  let rows: string[] = [];
  const flush = async (): Promise<void> => {
    if (rows.length > 0) await context.stdout.write(rows.splice(0).join(''));
  };
  for await (const { path, node } of files) {
    const { target, ranges = [], inline } = await moreOf(listing, path, node, context);
    const owner = node.uid === undefined ? '' : `${`${node.uid}:${node.gid}`.padEnd(11)} `;
    const link = target === undefined ? '' : ` -> ${nameText(target as string)}`;
    const time = shortTime(node.modified, fileSystem).padEnd(fileSystem.utc ? 20 : 19);
    const inode = String(node.inode).padStart(8);
    const size = grouped(node.size).padStart(14);
    rows.push(`${modeText(node)} ${owner}${inode} ${size}  ${time}  ${nameText(path)}${link}\n`);
    for (const { offset, start, length } of ranges as { offset: number; start: number; length: number }[]) {
      const sectors = `${start / SECTOR_BYTES}+${length / SECTOR_BYTES}`;
      rows.push(`    byte ${grouped(offset)}: sectors ${sectors} of the disk\n`);
    }
    if (inline === true) rows.push('    in its inode\n');
    if (rows.length > LINES_AT_ONCE) {
      await flush();
      rows = [];
    }
  }
  await flush();
}

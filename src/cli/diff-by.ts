// `vmdkit diff --by file` and `--by partition`: differences told in what they mean.
import type { Chain } from '../chain/chain.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { changedFiles, type ChangedFile, type ChangedFiles } from '../examine/changed-files.ts';
import {
  changedPartitions,
  type ChangedPartition,
  type ChangedPartitions,
} from '../examine/changed-partitions.ts';
import type { MappedFile } from '../examine/file-ranges.ts';
import type { FileSystem } from '../examine/file-system.ts';
import { inColumns } from './columns.ts';
import type { CommandContext } from './context.ts';
import { fileTime, nameText, shortTime } from './file-text.ts';
import { grouped, plural, sizeText } from './numbers.ts';

export async function diffByFile(
  a: Chain,
  b: Chain,
  node: string | undefined,
  context: CommandContext,
): Promise<void> {
  const changed = await context.withProgress((task) => changedFiles(a, b, { ...task, fs: context.store }));
  for (const problem of changed.problems) context.warn(problem);
  const zone = zoneOf(changed);
  if (context.format === 'ndjson') {
    for (const file of changed.files) await context.printJson(fileJson(file, zone));
  } else if (context.format === 'json') {
    await context.printJson({
      schema: 'vmdkit-diff-by-file/v1',
      ...(node === undefined ? {} : { disk: node }),
      a: a.leaf.path,
      b: b.leaf.path,
      files: changed.files.map((file) => fileJson(file, zone)),
      'differing-sectors': changed.differing,
      'in-no-file': changed.inNoFile,
      problems: changed.problems,
    });
  } else await context.stdout.line(fileLines(changed, zone).join('\n'));
}

type Zone = (file: MappedFile) => Pick<FileSystem, 'utc'>;

function zoneOf({ found }: ChangedFiles): Zone {
  const volumes = [...found.b.volumes, ...found.a.volumes];
  return ({ partition }) =>
    volumes.find(({ number, fileSystem }) => number === partition && fileSystem)!.fileSystem!;
}

function fileJson({ change, partition, path, a, b, touched }: ChangedFile, zone: Zone): object {
  const side = (file: MappedFile | undefined): object | undefined =>
    file && {
      inode: file.node.inode,
      size: file.node.size,
      modified: fileTime(file.node.modified, zone(file)),
    };
  const type = (b ?? a)!.node.kind;
  return { change, partition, path, type, a: side(a), b: side(b), 'differing-sectors': touched };
}

function fileLines(changed: ChangedFiles, zone: Zone): string[] {
  const { files, differing, inNoFile } = changed;
  const rows = files.map(({ change, partition, path, a, b }) => [
    change,
    String(partition),
    a === undefined ? '' : grouped(a.node.size),
    b === undefined ? '' : grouped(b.node.size),
    b === undefined ? '' : shortTime(b.node.modified, zone(b)),
    nameText(path) + ((b ?? a)!.node.kind === 'folder' ? '/' : ''),
  ]);
  const heads = [
    { head: 'CHANGE' },
    { head: 'PARTITION', align: 'right' as const },
    { head: 'SIZE IN A', align: 'right' as const },
    { head: 'SIZE IN B', align: 'right' as const },
    { head: 'MODIFIED IN B' },
    { head: 'FILE' },
  ];
  const counts = (['added', 'removed', 'changed', 'metadata'] as const).map((kind) => {
    const count = files.filter(({ change }) => change === kind).length;
    return `${count} ${kind === 'metadata' ? 'with other metadata alone' : kind}`;
  });
  const rest = `${sizeText(differing)} of sectors differ, ${sizeText(inNoFile)} of them in no file`;
  const summary = `${plural(files.length, 'file')}: ${counts.join(', ')}; ${rest}`;
  return files.length === 0 ? [`no file differs; ${rest}`] : [...inColumns(heads, rows), summary];
}

export async function diffByPartition(
  a: Chain,
  b: Chain,
  node: string | undefined,
  context: CommandContext,
): Promise<void> {
  const changed = await context.withProgress((task) =>
    changedPartitions(a, b, { ...task, fs: context.store }),
  );
  if (!changed.samePartitions) context.warn('the partitions of A are others: those of B are told');
  if (context.format === 'ndjson') {
    for (const group of changed.groups) await context.printJson(groupJson(group));
  } else if (context.format === 'json') {
    await context.printJson({
      schema: 'vmdkit-diff-by-partition/v1',
      ...(node === undefined ? {} : { disk: node }),
      a: a.leaf.path,
      b: b.leaf.path,
      'partition-scheme': changed.scheme,
      'same-partitions': changed.samePartitions,
      groups: changed.groups.map(groupJson),
    });
  } else await context.stdout.line(groupLines(changed).join('\n'));
}

function groupJson({ row, ranges, sectors, zeroed, bytes }: ChangedPartition): object {
  const place =
    row === undefined
      ? { partition: null }
      : {
          partition: row.number,
          description: row.description,
          start: row.start * SECTOR_BYTES,
          length: row.count * SECTOR_BYTES,
        };
  const sizes = { 'differing-sectors': sectors * SECTOR_BYTES, 'zeros-in-b': zeroed * SECTOR_BYTES };
  return { ...place, ranges, ...sizes, 'differing-bytes': bytes };
}

function groupLines({ groups }: ChangedPartitions): string[] {
  const heads = [
    { head: 'PARTITION', align: 'right' as const },
    { head: 'START', align: 'right' as const },
    { head: 'SIZE', align: 'right' as const },
    { head: 'RANGES', align: 'right' as const },
    { head: 'DIFFERS', align: 'right' as const },
    { head: 'ZEROS IN B', align: 'right' as const },
    { head: 'DESCRIPTION' },
  ];
  const rows = groups.map(({ row, ranges, sectors, zeroed }) => [
    row === undefined ? '' : String(row.number),
    row === undefined ? '' : `${row.start}s`,
    row === undefined ? '' : sizeText(row.count * SECTOR_BYTES),
    grouped(ranges),
    sizeText(sectors * SECTOR_BYTES),
    sizeText(zeroed * SECTOR_BYTES),
    row === undefined ? 'outside of partitions' : nameText(row.description),
  ]);
  return inColumns(heads, rows);
}

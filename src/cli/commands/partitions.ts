// `vmdkit partitions`: the partitions of a disk in the layout of sleuthkit's mmls, or as JSON.
import { SECTOR_BYTES } from '../../core/units.ts';
import type { PartitionRow, PartitionTable } from '../../examine/partition-types.ts';
import { readPartitions } from '../../examine/partitions.ts';
import { withChain } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import { EXIT } from '../failure.ts';
import { legible } from '../legible.ts';

export const run: CommandModule['run'] = (args, context) =>
  withChain(args, context, async (chain) => {
    const table = await readPartitions(chain.leaf.path, chain);
    if (context.format === 'ndjson') {
      for (const [address, row] of table.rows.entries()) await context.printJson(rowJson(row, address));
    } else if (context.format === 'json') await context.printJson(tableJson(chain.leaf.path, table));
    else if (table.scheme !== 'none') await context.stdout.write(tableText(table));
    if (context.format === 'human') {
      for (const { message } of table.findings) context.warn(message);
      if (table.scheme === 'none') context.talk('no partition table: neither DOS nor GPT');
    }
    return table.scheme === 'none' ? EXIT.no : EXIT.done;
  });

const HEADS = { dos: 'DOS Partition Table', gpt: 'GUID Partition Table (EFI)', none: '' } as const;

function tableText({ scheme, rows }: PartitionTable): string {
  const head = [HEADS[scheme], 'Offset Sector: 0', 'Units are in 512-byte sectors', ''];
  const titles = '      Slot      Start        End          Length       Description';
  const lines = rows.map(({ slot, start, count, description }, index) => {
    const [from, last, length] = [start, start + count - 1, count].map((value) =>
      String(value).padStart(10, '0'),
    );
    const address = String(index).padStart(3, '0');
    const name = legible(description).replace(/[\n\t]/g, ' ');
    return `${address}:  ${slot.padEnd(8)}  ${from}   ${last}   ${length}   ${name}`.trimEnd();
  });
  return `${[...head, titles, ...lines].join('\n')}\n`;
}

export function tableJson(filename: string, table: PartitionTable): object {
  return {
    schema: 'vmdkit-partitions/v1',
    filename,
    scheme: table.scheme,
    'sector-size': SECTOR_BYTES,
    sectors: table.sectors,
    ...(table.id === undefined ? {} : { id: table.id }),
    ...(table.header === undefined ? {} : { header: table.header }),
    rows: table.rows.map(rowJson),
    findings: table.findings,
  };
}

function rowJson({ start, count, ...row }: PartitionRow, address: number): object {
  return {
    address,
    ...row,
    'start-sector': start,
    'end-sector': start + count - 1,
    sectors: count,
    start: start * SECTOR_BYTES,
    length: count * SECTOR_BYTES,
  };
}

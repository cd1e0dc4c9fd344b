// How much differs in each partition of a disk. The partitions are those of the later state; where the earlier one has
// others, that is told.
import type { Chain } from '../chain/chain.ts';
import { differences, joined, type DifferenceOptions } from '../operations/differences.ts';
import type { PartitionRow } from './partition-types.ts';
import { readPartitions } from './partitions.ts';

export interface ChangedPartition {
  /** Undefined: outside of all partitions. */
  readonly row: PartitionRow | undefined;
  /** Ranges that differ, cut at the ends of the partition. */
  ranges: number;
  /** Sectors that differ, and of these, those that are zeros in B. */
  sectors: number;
  zeroed: number;
  /** Bytes that differ; of a range over two partitions, counted in the first. */
  bytes: number;
}

export interface ChangedPartitions {
  readonly scheme: string;
  readonly samePartitions: boolean;
  /** In the order of the disk, then what is outside; those without a difference too. */
  readonly groups: readonly ChangedPartition[];
}

export async function changedPartitions(
  a: Chain,
  b: Chain,
  options: DifferenceOptions = {},
): Promise<ChangedPartitions> {
  const [before, after] = [await readPartitions(a.leaf.path, a), await readPartitions(b.leaf.path, b)];
  const rows = after.rows.filter(({ kind }) => kind === 'partition');
  const groups = rows.map((row) => emptyGroup(row));
  const outside = emptyGroup(undefined);
  for await (const { start, count, zero, bytes } of joined(differences(a, b, options))) {
    let left = bytes;
    const note = (group: ChangedPartition, sectors: number): void => {
      group.ranges++;
      group.sectors += sectors;
      if (zero) group.zeroed += sectors;
      group.bytes += left;
      left = 0;
    };
    let inside = 0;
    let from = start;
    for (const group of groups) {
      const [begin, end] = [
        Math.max(from, group.row!.start),
        Math.min(start + count, group.row!.start + group.row!.count),
      ];
      if (end <= begin) continue;
      note(group, end - begin);
      inside += end - begin;
      from = end;
    }
    if (count > inside) note(outside, count - inside);
  }
  const shape = (table: typeof before): string =>
    JSON.stringify(table.rows.map(({ kind, start, count, type }) => [kind, start, count, type]));
  return {
    scheme: after.scheme,
    samePartitions: shape(before) === shape(after),
    groups: [...groups, outside],
  };
}

function emptyGroup(row: PartitionRow | undefined): ChangedPartition {
  return { row, ranges: 0, sectors: 0, zeroed: 0, bytes: 0 };
}

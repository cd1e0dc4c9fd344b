// What a partition table is, as data: rows in the order of the disk, tables and gaps among them, as sleuthkit's mmls
// lists them. Sectors of 512 bytes throughout.
import type { Finding } from '../core/finding.ts';

export interface PartitionRow {
  /** `meta`: a table, or the partition that holds tables. `unallocated`: in no partition. */
  readonly kind: 'meta' | 'unallocated' | 'partition';
  /** As mmls prints it: `000:001` for entry 1 of table 0, `003` for entry 3 of a GPT, `Meta`, `-------`. */
  readonly slot: string;
  /** What Linux calls it: 1 to 4, logical ones from 5 on; missing where it is no partition. */
  readonly number?: number;
  readonly start: number;
  readonly count: number;
  readonly description: string;
  /** `0x83`, or the GUID of a GPT. */
  readonly type?: string;
  /** Of a GPT's type, when it is known. */
  readonly 'type-name'?: string;
  readonly bootable?: boolean;
  readonly guid?: string;
  readonly attributes?: string;
}

export interface PartitionTable {
  readonly scheme: 'dos' | 'gpt' | 'none';
  /** Sectors of the disk. */
  readonly sectors: number;
  /** The signature of an MBR (8 hex digits) or the GUID of a GPT. */
  readonly id?: string;
  /** GPT: which header the rows are from. */
  readonly header?: 'primary' | 'backup';
  readonly rows: readonly PartitionRow[];
  readonly findings: readonly Finding[];
}

/** Where readers of tables say what they got past. */
export type Note = (code: string, severity: Finding['severity'], message: string, sector?: number) => void;

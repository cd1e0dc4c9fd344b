// What a report says, as plain data: the page is drawn from it, and `--json` prints it as it is. Bytes throughout.
import type { Finding } from '../core/finding.ts';
import type { ChainReport } from '../operations/describe-chain.ts';
import type { Verdict } from '../operations/check-disk.ts';
import type { SlackItem, SlackKind } from './slack.ts';

export interface ReportFacts {
  readonly schema: 'vmdkit-report/v1';
  readonly title: string;
  /** Of vmdkit. */
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly made: string;
  readonly arguments: readonly string[];
  readonly examiner?: string;
  readonly case?: string;
  readonly machine?: ReportMachine;
  readonly disks: readonly ReportDisk[];
  readonly timeline: readonly ReportEvent[];
  /** Every file that the disks consist of, once. */
  readonly files: readonly ReportFile[];
}

export interface ReportMachine {
  readonly name: string;
  readonly filename: string;
  readonly power: string;
  readonly 'guest-os'?: string;
  readonly snapshots: readonly ReportSnapshot[];
  readonly findings: readonly Finding[];
}

export interface ReportSnapshot {
  readonly uid: number;
  readonly parent?: number;
  readonly name: string;
  readonly description: string;
  readonly created?: string;
  readonly current: boolean;
  readonly disks: readonly string[];
}

export interface ReportDisk {
  /** `scsi0:0`, or the file's name. */
  readonly name: string;
  /** The point of the machine, where one was asked for: `uid:2 "patched" of …`, or `running`. */
  readonly at?: string;
  readonly chain: ChainReport;
  /** Why the chain does not open; then there is no more. */
  readonly failure?: { readonly code: string; readonly message: string };
  readonly verdict: Verdict | 'not checked';
  /** Of check, of partitions and file systems, and what contradicts itself. */
  readonly findings: readonly Finding[];
  readonly allocation?: Allocation;
  /** Missing where nothing but structures was read. */
  readonly slack?: ReportSlack;
  /** Of the merged contents, `sparse-sha256` alone where these are nearly all zeros; missing when not asked for. */
  readonly hashes?: Readonly<Record<string, string>>;
  readonly 'partition-scheme'?: string;
  readonly volumes?: readonly ReportVolume[];
}

export interface ReportVolume {
  readonly partition: number;
  readonly start: number;
  readonly length: number;
  readonly description: string;
  readonly 'file-system'?: string;
  readonly label?: string;
  readonly problem?: string;
}

/** What lies in the files and is no part of what the disk reads as. */
export interface ReportSlack {
  readonly kinds: readonly { readonly kind: SlackKind; readonly count: number; readonly bytes: number }[];
  /** The first of each kind. */
  readonly items: readonly ReportSlackItem[];
  readonly 'zero-bytes': number;
  /** Why the search ended early. */
  readonly problem?: string;
}

export interface ReportSlackItem extends Omit<SlackItem, 'path'> {
  readonly filename: string;
}

/** Which link answers how much, and where. */
export interface Allocation {
  /** Leaf first. */
  readonly links: readonly { readonly depth: number; readonly data: number; readonly zero: number }[];
  /** In no link. */
  readonly absent: number;
  /** Bytes that each cell stands for; the last may be shorter. */
  readonly 'cell-size': number;
  /** For each cell: the link that holds most of its data, or -1, and the share of the cell that is data, 0 to 1. */
  readonly cells: readonly (readonly [link: number, share: number])[];
}

export interface ReportEvent {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly kind: 'snapshot' | 'file';
  readonly what: string;
  /** Where that is from. */
  readonly source: string;
}

export interface ReportFile {
  readonly filename: string;
  readonly size: number;
  readonly modified: string;
  readonly sha256?: string;
  /** In its place for files that are nearly all holes: of the blocks that are not zeros. */
  readonly 'sparse-sha256'?: string;
}

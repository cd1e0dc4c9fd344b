// The record of a run on evidence, as it is written and signed. Rule: all times are UTC, with all the digits that the
// file system has.
import type { EvidenceItem, EvidenceState } from '../examine/evidence.ts';
import type { FileDigest, FileHashing } from '../examine/file-digest.ts';
import type { FileTimes } from '../storage/file-store.ts';

/** One of them, or none. */
export interface RecordedDigest {
  readonly sha256?: string;
  /** Of the blocks of 64 KiB that are not zeros, each behind its number. */
  readonly 'sparse-sha256'?: string;
}

export interface RecordedState extends RecordedDigest {
  readonly size?: number;
  readonly modified?: string;
  readonly changed?: string;
  readonly accessed?: string;
  readonly created?: string;
}

export interface RecordedItem {
  readonly filename: string;
  readonly unchanged: boolean;
  /** Only when reading moved it. */
  readonly 'access-time-moved'?: true;
  readonly before: RecordedState;
  /** Missing when it is gone. */
  readonly after?: RecordedState;
}

export interface RunRecord {
  readonly schema: 'vmdkit-evidence/v1';
  readonly version: string;
  readonly arguments: readonly string[];
  readonly 'working-folder': string;
  readonly host: string;
  readonly user: string;
  readonly platform: string;
  readonly started: string;
  readonly ended: string;
  /** What was asked for; which of the two it is for a file stands there. */
  readonly 'manifest-hash': FileHashing | 'none';
  readonly examiner?: string;
  readonly case?: string;
  readonly 'exit-code': number;
  /** As with --json on stderr. */
  readonly error?: Readonly<Record<string, unknown>>;
  readonly unchanged: boolean;
  /** Every file that was opened. */
  readonly files: readonly RecordedItem[];
  /** The folders that hold them: their times change with every entry. */
  readonly folders: readonly RecordedItem[];
  /** What the command printed on stdout. */
  readonly output: { readonly bytes: number; readonly sha256: string };
  /** Files that it wrote. */
  readonly results: readonly (RecordedDigest & { readonly filename: string; readonly size: number })[];
}

export function itemJson({ path, before, after, changed, accessed }: EvidenceItem): RecordedItem {
  return {
    filename: path,
    unchanged: !changed,
    ...(accessed ? { 'access-time-moved': true } : {}),
    before: stateJson(before),
    ...(after === undefined ? {} : { after: stateJson(after) }),
  };
}

function stateJson({ size, times, ...digest }: EvidenceState): RecordedState {
  return {
    ...(size === undefined ? {} : { size }),
    ...(times === undefined ? {} : timesJson(times)),
    ...digestJson(digest),
  };
}

export function digestJson({ sha256, sparseSha256 }: FileDigest): RecordedDigest {
  if (sha256 !== undefined) return { sha256 };
  return sparseSha256 === undefined ? {} : { 'sparse-sha256': sparseSha256 };
}

function timesJson({ modified, changed, accessed, created }: FileTimes) {
  return {
    modified: isoNanos(modified),
    changed: isoNanos(changed),
    accessed: isoNanos(accessed),
    ...(created === undefined ? {} : { created: isoNanos(created) }),
  };
}

/** `2022-11-28T15:00:00.123456789Z`; trailing zeros are left out. */
export function isoNanos(nanos: bigint): string {
  const rest = ((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = new Date(Number((nanos - rest) / 1_000_000n)).toISOString().slice(0, 19);
  const fraction = String(rest).padStart(9, '0').replace(/0+$/, '');
  return fraction === '' ? `${seconds}Z` : `${seconds}.${fraction}Z`;
}

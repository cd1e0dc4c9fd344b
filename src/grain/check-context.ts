// What the checks of all extent formats are given and what they answer. They never throw for damage: they write it
// down and go on with what is left.
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import type { FindingLog } from './check-findings.ts';

export interface ExtentCheck {
  readonly file: RandomAccessFile;
  /** Length of the file. */
  readonly fileBytes: number;
  readonly log: FindingLog;
  /** Inflate every compressed grain. */
  readonly deep: boolean;
  readonly task: TaskOptions;
  /** Told of space in the file that nothing refers to, in bytes, however short. */
  readonly onUnused?: ((path: string, start: number, length: number) => void) | undefined;
}

/** Sectors that nobody takes. */
export function tellUnused({ onUnused, file }: ExtentCheck, start: number, count: number): void {
  if (count > 0) onUnused?.(file.path, start * SECTOR_BYTES, count * SECTOR_BYTES);
}

/** What an extent holds. Grains are the format's own; a flat extent has none. */
export interface GrainCounts {
  /** Grains that the guest sees. */
  readonly total: number;
  readonly allocated: number;
  /** Of the allocated ones. */
  readonly compressed: number;
  /** Grains' worth of file space that nothing refers to. */
  readonly leaked: number;
  readonly leakedBytes: number;
  /** Where the last structure or grain ends, in bytes. */
  readonly imageEnd: number;
}

export const NO_GRAINS: GrainCounts = {
  total: 0,
  allocated: 0,
  compressed: 0,
  leaked: 0,
  leakedBytes: 0,
  imageEnd: 0,
};

/** The mark of a writer that has not closed the file. */
export function noteUnclean({ log, file }: ExtentCheck, unclean: boolean, offset: number): void {
  if (!unclean) return;
  const message = () => 'the file was not closed by its last writer';
  log.warning('UNCLEAN', { path: file.path, offset, repairable: true }, message);
}

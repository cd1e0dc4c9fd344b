// Something odd or broken about a disk, as `check` reports it and as an open disk remembers what it got past.
// Codes are those of the check list in docs/format-checks.md: upper case, stable.

export type Severity = 'error' | 'warning' | 'info';

export interface Finding {
  /** E.g. `RGD-DIFF`. */
  readonly code: string;
  readonly severity: Severity;
  /** One sentence: what was found, and what was expected. */
  readonly message: string;
  /** The file. */
  readonly path: string;
  /** Byte offset in the file, where there is one place. */
  readonly offset?: number;
  /** True when a repair is possible without inventing data. */
  readonly repairable: boolean;
}

/** Where a reader says what it got past. */
export type OnFinding = (finding: Finding) => void;

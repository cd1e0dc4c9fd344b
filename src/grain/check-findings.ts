// Where a check writes down what it finds. Rule: every finding is counted, the first of each code are kept, so that a
// table full of garbage costs neither memory nor patience.
import type { Finding, Severity } from '../core/finding.ts';

/** Findings kept of one code; the rest are counted. */
export const KEPT_PER_CODE = 1000;

export interface FindingDetail {
  /** The file. */
  readonly path: string;
  /** Byte offset in the file. */
  readonly offset?: number | undefined;
  /** Default false. */
  readonly repairable?: boolean | undefined;
}

/** How often a code was found, kept or not. */
export interface FindingCount {
  readonly code: string;
  readonly severity: Severity;
  readonly count: number;
}

/** What is said of a place that cannot be: `what` at `sector`, which may be one of `first` to `last`, the file's end. */
export function misplaced(what: string, sector: number, first: number, last: number): string {
  const said = `${what} cannot be at sector ${sector}: `;
  if (first <= last) return `${said}expected ${first} to ${last} (end of file)`;
  return `${said}the file ends at sector ${last}, before the first that it could be at, ${first}`;
}

export class FindingLog {
  readonly findings: Finding[] = [];
  readonly #counts = new Map<string, { code: string; severity: Severity; count: number }>();
  readonly #kept = new Map<string, number>();
  #errors = 0;
  #unchecked = 0;

  /** Error findings so far, kept or not; what could not be checked is not among them. */
  get errors(): number {
    return this.#errors;
  }

  /** Things that could not be checked. */
  get unchecked(): number {
    return this.#unchecked;
  }

  /** Counts by code and severity, in order of appearance. */
  get counts(): readonly FindingCount[] {
    return [...this.#counts.values()].map((each) => ({ ...each }));
  }

  error(code: string, detail: FindingDetail, message: () => string): void {
    this.#note(code, 'error', detail, message);
    this.#errors++;
  }

  /** `count` more errors of a code whose first findings were kept. */
  moreErrors(code: string, count: number): void {
    if (count <= 0) return;
    this.#count(code, 'error', count);
    this.#errors += count;
  }

  warning(code: string, detail: FindingDetail, message: () => string): void {
    this.#note(code, 'warning', detail, message);
  }

  info(code: string, detail: FindingDetail, message: () => string): void {
    this.#note(code, 'info', detail, message);
  }

  /** Something that could not be looked at: no damage is known, none is ruled out. */
  cannotCheck(detail: FindingDetail, message: () => string): void {
    this.#note('UNCHECKED', 'warning', detail, message);
    this.#unchecked++;
  }

  /** `message` is called only for findings that are kept. */
  #note(code: string, severity: Severity, detail: FindingDetail, message: () => string): void {
    this.#count(code, severity, 1);
    const kept = this.#kept.get(code) ?? 0;
    if (kept >= KEPT_PER_CODE) return;
    this.#kept.set(code, kept + 1);
    const { path, offset, repairable = false } = detail;
    const place = offset === undefined ? {} : { offset };
    this.findings.push({ code, severity, message: legible(message()), path, ...place, repairable });
  }

  #count(code: string, severity: Severity, count: number): void {
    const key = `${code} ${severity}`;
    const counted = this.#counts.get(key);
    if (counted === undefined) this.#counts.set(key, { code, severity, count });
    else counted.count += count;
  }
}

/** Names of files in a message come from strangers: what steers a terminal is spelt out. */
function legible(message: string): string {
  return message.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}

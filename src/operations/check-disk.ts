// Checks a disk, or a whole chain, and says what is wrong with it. Findings only: nothing is changed. What each code
// means, and what a crash may leave, is in docs/format-checks.md.
import { checkChain, type ChainCheckOptions } from '../chain/check-chain.ts';
import type { Finding } from '../core/finding.ts';
import type { CheckedLink } from '../disk/check-link.ts';
import type { FindingCount } from '../grain/check-findings.ts';

/** ChainOptions, TaskOptions, and how much is checked. `onFinding`, `journal` and `noAccess` are not used. */
export type CheckOptions = ChainCheckOptions;

/** `unchecked`: no damage was found, and something could not be looked at. */
export type Verdict = 'sound' | 'damaged' | 'unchecked';

export interface LinkReport {
  /** Real path. */
  readonly path: string;
  /** Undefined when there is no descriptor that can be read. */
  readonly createType: string | undefined;
  readonly verdict: Verdict;
  /** The first 1,000 of each code. */
  readonly problems: readonly Finding[];
  /** How often each code was found, kept or not. */
  readonly counts: readonly FindingCount[];
  /** Findings that are errors. */
  readonly corruptions: number;
  /** Grains' worth of file space that nothing refers to. */
  readonly leaks: number;
  readonly leakedBytes: number;
  /** Things that could not be checked. */
  readonly checkErrors: number;
  /** Grains that the guest sees; 0 for flat disks. */
  readonly totalGrains: number;
  readonly allocatedGrains: number;
  readonly compressedGrains: number;
  /** Where the last structure ends, in bytes; undefined for a disk of several files. */
  readonly imageEndOffset: number | undefined;
}

export interface CheckReport extends LinkReport {
  /** All links that were checked, leaf first; one unless `chain` was set. */
  readonly links: readonly LinkReport[];
}

/**
 * Checks the disk at `path` and how it fits its parent; with `chain`, every link below as well. Problems, verdict and
 * the numbers of errors and leaks are those of all links, the others those of the disk itself.
 * @throws VmdkError when it cannot be checked at all: no VMDK, contents elsewhere (encrypted, vSAN, a device), a
 * missing or unreadable file. RangeError and the reason of an abort pass through.
 */
export async function checkDisk(path: string, options: CheckOptions = {}): Promise<CheckReport> {
  const links = (await checkChain(path, options)).map(reportOf);
  const sum = (of: (link: LinkReport) => number): number =>
    links.reduce((total, link) => total + of(link), 0);
  const totals = {
    corruptions: sum(({ corruptions }) => corruptions),
    leaks: sum(({ leaks }) => leaks),
    leakedBytes: sum(({ leakedBytes }) => leakedBytes),
    checkErrors: sum(({ checkErrors }) => checkErrors),
  };
  return {
    ...links[0]!,
    ...totals,
    verdict: verdictOf(totals.corruptions, totals.checkErrors),
    problems: links.flatMap(({ problems }) => problems),
    counts: addCounts(links),
    links,
  };
}

function reportOf({ path, createType, log, grains, single }: CheckedLink): LinkReport {
  return {
    path,
    createType,
    verdict: verdictOf(log.errors, log.unchecked),
    problems: log.findings,
    counts: log.counts,
    corruptions: log.errors,
    leaks: grains.leaked,
    leakedBytes: grains.leakedBytes,
    checkErrors: log.unchecked,
    totalGrains: grains.total,
    allocatedGrains: grains.allocated,
    compressedGrains: grains.compressed,
    imageEndOffset: single ? grains.imageEnd : undefined,
  };
}

function verdictOf(errors: number, unchecked: number): Verdict {
  if (errors > 0) return 'damaged';
  return unchecked > 0 ? 'unchecked' : 'sound';
}

function addCounts(links: readonly LinkReport[]): FindingCount[] {
  const sums = new Map<string, FindingCount>();
  for (const each of links.flatMap(({ counts }) => counts)) {
    const key = `${each.code} ${each.severity}`;
    sums.set(key, { ...each, count: each.count + (sums.get(key)?.count ?? 0) });
  }
  return [...sums.values()];
}

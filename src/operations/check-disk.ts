// Checks a disk, or a whole chain, and says what is wrong with it. Findings only: nothing is changed. What each code
// means, and what a crash may leave, is in docs/format-checks.md. Keys are those of `qemu-img check`, and more.
import { checkChain, type ChainCheckOptions } from '../chain/check-chain.ts';
import type { Finding } from '../core/finding.ts';
import type { CheckedLink } from '../disk/check-link.ts';
import type { FindingCount } from '../grain/check-findings.ts';

/** ChainOptions, TaskOptions, and how much is checked. `onFinding`, `journal` and `noAccess` mean nothing here. */
export type CheckOptions = ChainCheckOptions;

/** `sound` leaves room for warnings and leaks; `unchecked`: no damage was found, and something was not looked at. */
export type Verdict = 'sound' | 'damaged' | 'unchecked';

/** One link. Clusters are grains. */
export interface LinkCheck {
  /** Real path. */
  readonly filename: string;
  readonly format: 'vmdk';
  /** Missing when there is no descriptor that can be read. */
  readonly 'create-type'?: string;
  readonly verdict: Verdict;
  /** Things that could not be checked. */
  readonly 'check-errors': number;
  /** Findings that are errors. */
  readonly corruptions: number;
  /** Clusters' worth of file space that nothing refers to. */
  readonly leaks: number;
  /** The same in bytes. */
  readonly 'leaked-bytes': number;
  /** Where the last structure ends; missing for a disk of several files. */
  readonly 'image-end-offset'?: number;
  /** Clusters that the guest sees; 0 for flat disks. */
  readonly 'total-clusters': number;
  readonly 'allocated-clusters': number;
  readonly 'compressed-clusters': number;
  /** How often each code was found, also of findings that were not kept. */
  readonly counts: readonly FindingCount[];
  /** The first 1,000 of each code. */
  readonly problems: readonly Finding[];
}

export interface CheckReport extends LinkCheck {
  readonly schema: 'vmdkit-check/v1';
  /** With `chain`: all links that were checked, leaf first. */
  readonly links?: readonly LinkCheck[];
}

/**
 * Checks the disk at `path` and how it fits its parent; with `chain`, every link below as well. Verdict, problems and
 * the numbers of errors and leaks are then those of all links, the others those of the disk itself.
 * @throws VmdkError when it cannot be checked at all: no VMDK, contents elsewhere (encrypted, vSAN, a device), a
 * missing or unreadable file. The reason of an abort passes through.
 */
export async function checkDisk(path: string, options: CheckOptions = {}): Promise<CheckReport> {
  const links = (await checkChain(path, options)).map(reportOf);
  const own = links[0]!;
  const sum = (key: 'check-errors' | 'corruptions' | 'leaks' | 'leaked-bytes'): number =>
    links.reduce((total, link) => total + link[key], 0);
  return {
    schema: 'vmdkit-check/v1',
    ...own,
    verdict: verdictOf(sum('corruptions'), sum('check-errors')),
    'check-errors': sum('check-errors'),
    corruptions: sum('corruptions'),
    leaks: sum('leaks'),
    'leaked-bytes': sum('leaked-bytes'),
    counts: addCounts(links),
    problems: links.flatMap(({ problems }) => problems),
    ...(options.chain === true ? { links } : {}),
  };
}

function reportOf({ path, createType, log, grains, single }: CheckedLink): LinkCheck {
  return {
    filename: path,
    format: 'vmdk',
    ...(createType === undefined ? {} : { 'create-type': createType }),
    verdict: verdictOf(log.errors, log.unchecked),
    'check-errors': log.unchecked,
    corruptions: log.errors,
    leaks: grains.leaked,
    'leaked-bytes': grains.leakedBytes,
    ...(single ? { 'image-end-offset': grains.imageEnd } : {}),
    'total-clusters': grains.total,
    'allocated-clusters': grains.allocated,
    'compressed-clusters': grains.compressed,
    counts: log.counts,
    problems: log.findings,
  };
}

function verdictOf(errors: number, unchecked: number): Verdict {
  if (errors > 0) return 'damaged';
  return unchecked > 0 ? 'unchecked' : 'sound';
}

function addCounts(links: readonly LinkCheck[]): FindingCount[] {
  const sums = new Map<string, FindingCount>();
  for (const each of links.flatMap(({ counts }) => counts)) {
    const key = `${each.code} ${each.severity}`;
    sums.set(key, { ...each, count: each.count + (sums.get(key)?.count ?? 0) });
  }
  return [...sums.values()];
}

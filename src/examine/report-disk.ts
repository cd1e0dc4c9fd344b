// The facts about one disk of a report: its chain, what check finds, what is where, partitions and hashes. A disk that
// does not open is described as far as it can be.
import type { Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openContext } from '../disk/open-options.ts';
import { checkDisk } from '../operations/check-disk.ts';
import { hashContents } from '../operations/content-hash.ts';
import { describeChain, describeLinks } from '../operations/describe-chain.ts';
import type { FileStore } from '../storage/file-store.ts';
import { allocationOf } from './allocation.ts';
import { findFileSystems, type FoundVolume } from './find-file-systems.ts';
import { digestFile, MOST_ZEROS, type FileHashing } from './file-digest.ts';
import { hashBytes, wholeDisk } from './hash-bytes.ts';
import type { Allocation, ReportDisk, ReportFile, ReportVolume } from './report-facts.ts';
import { reportSlack } from './report-slack.ts';
import { findSigns, type LinkHistory } from './signs.ts';

export interface ReportOptions extends ChainOptions, TaskOptions {
  /**
   * MD5 and SHA-256 of the contents, SHA-256 of every file, or of both the sparse hash: reads everything that is there.
   * Undefined: nothing of that.
   */
  readonly hashes: FileHashing | undefined;
  /** What snapshots tell of the links, by identity: see `findSigns`. */
  readonly history?: ReadonlyMap<string, LinkHistory> | undefined;
}

/** `name` is what the report calls it. @throws VmdkError when the file is no disk at all. */
export async function reportDisk(name: string, path: string, options: ReportOptions): Promise<ReportDisk> {
  const { report: chain, failure } = await describeChain(path, options);
  const checked = await checkOf(path, options);
  const found = [...checked.findings, ...(await signsOf(path, options))];
  const base = { name, chain, ...checked, findings: found };
  if (failure !== undefined) {
    return { ...base, failure: { code: failure.code, message: failure.message.split('\n')[0]! } };
  }
  const opened = await openChain(path, 'read', { ...options, onFinding: undefined });
  try {
    const { table, volumes } = await findFileSystems(opened.leaf.path, opened);
    const findings = [
      ...base.findings,
      ...table.findings,
      ...volumes.flatMap(({ fileSystem }) => fileSystem?.findings ?? []),
    ];
    const allocation = await allocationOf(opened, options);
    const hashes = await contentHashes(opened, allocation, options);
    const slack = options.hashes === undefined ? undefined : await reportSlack(opened, options);
    return {
      ...base,
      findings,
      allocation,
      ...(hashes === undefined ? {} : { hashes }),
      ...(slack === undefined ? {} : { slack }),
      'partition-scheme': table.scheme,
      volumes: volumes.map(volumeOf),
    };
  } finally {
    await opened.close();
  }
}

async function contentHashes(
  chain: Chain,
  { links }: Allocation,
  options: ReportOptions,
): Promise<Record<string, string> | undefined> {
  const { hashes } = options;
  if (hashes === undefined) return undefined;
  const data = links.reduce((sum, link) => sum + link.data, 0);
  const zeros = chain.capacity * SECTOR_BYTES - data;
  if (hashes === 'sparse' || (hashes === 'auto' && zeros > MOST_ZEROS))
    return { 'sparse-sha256': (await hashContents(chain, options)).toString('hex') };
  const { digests } = await hashBytes(wholeDisk(chain), ['md5', 'sha256'], options);
  return { ...digests };
}

async function checkOf(
  path: string,
  options: ReportOptions,
): Promise<Pick<ReportDisk, 'verdict' | 'findings'>> {
  try {
    const { verdict, problems } = await checkDisk(path, { ...options, chain: true });
    return { verdict, findings: problems };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { verdict: 'not checked', findings: [] };
  }
}

/** Also of a chain whose links do not fit. What opening gets past is among the findings of check. */
async function signsOf(path: string, options: ReportOptions): Promise<Finding[]> {
  try {
    const chain = await openChain(path, 'read', { ...options, acceptMismatch: true, onFinding: undefined });
    try {
      const signs = await findSigns(openContext(options).store, { chain, history: options.history });
      return signs.filter(({ code }) => code.startsWith('SIGN-'));
    } finally {
      await chain.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return [];
  }
}

function volumeOf({ number, start, count, description, fileSystem, problem }: FoundVolume): ReportVolume {
  return {
    partition: number,
    start: start * SECTOR_BYTES,
    length: count * SECTOR_BYTES,
    description,
    ...(fileSystem === undefined
      ? { problem: problem!.message.split('\n')[0]! }
      : { 'file-system': fileSystem.kind, label: fileSystem.label }),
  };
}

/** The files of these disks, each once, by path. */
export async function reportFiles(
  store: FileStore,
  paths: readonly string[],
  options: ReportOptions,
): Promise<ReportFile[]> {
  const names = new Set<string>();
  for (const path of paths) {
    const { reports } = await describeLinks(path, options);
    for (const report of reports) {
      names.add(report.filename);
      for (const { filename, found } of report['format-specific'].data.extents) {
        if (filename !== undefined && found !== false) names.add(filename);
      }
    }
  }
  const files: ReportFile[] = [];
  for (const filename of [...names].sort()) {
    const { size, modified } = await store.resolve(filename);
    const { hashes } = options;
    const { sha256, sparseSha256 } =
      hashes === undefined ? {} : await digestFile(store, filename, hashes, options);
    files.push({
      filename,
      size,
      modified: new Date(modified).toISOString(),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(sparseSha256 === undefined ? {} : { 'sparse-sha256': sparseSha256 }),
    });
  }
  return files;
}

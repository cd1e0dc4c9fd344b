// The facts about one disk of a report: its chain, what check finds, what is where, partitions and hashes. A disk that
// does not open is described as far as it can be.
import { openChain } from '../chain/open-chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { checkDisk } from '../operations/check-disk.ts';
import { describeChain, describeLinks } from '../operations/describe-chain.ts';
import type { FileStore } from '../storage/file-store.ts';
import { allocationOf } from './allocation.ts';
import { findFileSystems, type FoundVolume } from './find-file-systems.ts';
import { hashBytes, hashFile, wholeDisk } from './hash-bytes.ts';
import type { ReportDisk, ReportFile, ReportVolume } from './report-facts.ts';

export interface ReportOptions extends ChainOptions, TaskOptions {
  /** MD5 and SHA-256 of the contents, SHA-256 of every file: reads everything that is there. */
  readonly hashes: boolean;
}

/** `name` is what the report calls it. @throws VmdkError when the file is no disk at all. */
export async function reportDisk(name: string, path: string, options: ReportOptions): Promise<ReportDisk> {
  const { report: chain, failure } = await describeChain(path, options);
  const checked = await checkOf(path, options);
  const base = { name, chain, ...checked };
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
    const hashed = options.hashes
      ? await hashBytes(wholeDisk(opened), ['md5', 'sha256'], options)
      : undefined;
    return {
      ...base,
      findings,
      allocation: await allocationOf(opened, options),
      ...(hashed === undefined ? {} : { hashes: hashed.digests as Record<string, string> }),
      'partition-scheme': table.scheme,
      volumes: volumes.map(volumeOf),
    };
  } finally {
    await opened.close();
  }
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
    const hashed = options.hashes ? await hashFile(store, filename, ['sha256'], options) : undefined;
    const sha256 = hashed?.digests.sha256;
    const time = new Date(modified).toISOString();
    files.push({ filename, size, modified: time, ...(sha256 === undefined ? {} : { sha256 }) });
  }
  return files;
}

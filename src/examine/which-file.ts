// Which file of a file system on the disk holds a sector. Rule: every file is asked, since two may claim one sector; what
// could not be read is told, because the file may be behind it.
import type { SectorSource } from '../block/sector-source.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { fileRanges } from './file-ranges.ts';
import { findFileSystems } from './find-file-systems.ts';

export interface FileOfSector {
  /** `/etc/hosts` */
  readonly path: string;
  readonly inode: number;
  /** Bytes of the file. */
  readonly size: number;
  /** The byte of the file with which the sector begins. */
  readonly offset: number;
}

export interface FilesOfSector {
  /** The partition that holds the sector, as `ls --partition` counts, 0 for a disk without any; missing outside of all. */
  readonly partition?: number;
  /** Missing where the file system is none that is read here. */
  readonly fileSystem?: string;
  /** None: what is there belongs to the file system itself, or to nobody any more. */
  readonly files: readonly FileOfSector[];
  /** What could not be read. */
  readonly problems: readonly string[];
}

/** `path` is what messages call the disk. Walks the whole file system. */
export async function filesOfSector(
  path: string,
  source: SectorSource,
  sector: number,
  task: TaskOptions = {},
): Promise<FilesOfSector> {
  const found = await findFileSystems(path, source);
  const volume = found.volumes.find(({ start, count }) => sector >= start && sector < start + count);
  if (volume === undefined) return { files: [], problems: [] };
  const { number: partition, fileSystem, problem } = volume;
  if (fileSystem === undefined) return { partition, files: [], problems: [problem!.message.split('\n')[0]!] };
  const [files, problems]: [FileOfSector[], string[]] = [[], []];
  const options = {
    ...task,
    found: { ...found, volumes: [volume] },
    onProblem: (_: number, where: string, message: string) =>
      problems.push(`${where}: ${message.split('\n')[0]!}`),
  };
  for await (const { path: name, node, stretches } of fileRanges(path, source, options)) {
    const held = stretches.find(({ start, count }) => sector >= start && sector < start + count);
    if (held === undefined) continue;
    const offset = held.offset + (sector - held.start) * SECTOR_BYTES;
    files.push({ path: name, inode: node.inode, size: node.size, offset });
  }
  return { partition, fileSystem: fileSystem.kind, files, problems };
}

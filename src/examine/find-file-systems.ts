// Which partition of a disk holds which file system, or the disk as a whole. Rule: one that is damaged or of an unknown
// kind is part of the answer, with the reason; it does not hide the others.
import type { SectorSource } from '../block/sector-source.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { oemName } from '../format/boot-sector.ts';
import { openExt } from './ext-volume.ts';
import { openFat } from './fat-volume.ts';
import type { FileSystem } from './file-system.ts';
import { readTable } from './partitions.ts';
import type { PartitionRow, PartitionTable } from './partition-types.ts';
import { Volume } from './volume.ts';

export interface FoundVolume {
  /** The partition, as Linux counts; 0 is the disk as a whole, where it has no partitions. */
  readonly number: number;
  /** Sectors of the disk. */
  readonly start: number;
  readonly count: number;
  readonly description: string;
  readonly fileSystem?: FileSystem;
  /** Why there is none to be looked into. */
  readonly problem?: VmdkError;
}

export interface FoundFileSystems {
  readonly table: PartitionTable;
  readonly volumes: readonly FoundVolume[];
}

/** `path` is what messages call the disk. */
export async function findFileSystems(path: string, source: SectorSource): Promise<FoundFileSystems> {
  const disk = Volume.whole(path, source);
  const table = await readTable(disk);
  const partitions = table.rows.filter(({ kind }) => kind === 'partition');
  const places =
    table.scheme === 'none'
      ? [{ number: 0, start: 0, count: disk.count, description: 'the whole disk' }]
      : partitions.map(placeOf);
  const volumes: FoundVolume[] = [];
  for (const place of places) volumes.push({ ...place, ...(await look(disk, place)) });
  return { table, volumes };
}

function placeOf({
  number = 0,
  start,
  count,
  description,
  ...row
}: PartitionRow): Omit<FoundVolume, 'problem'> {
  return { number, start, count, description: description === '' ? (row['type-name'] ?? '') : description };
}

/**
 * The one that is meant: the partition `number`, or the only one that can be read.
 * @throws VmdkError `file-system-missing`, `file-system-ambiguous`, or what is wrong with the one that is meant.
 */
export function chooseFileSystem(
  path: string,
  { volumes }: FoundFileSystems,
  number: number | undefined,
): FoundVolume & { readonly fileSystem: FileSystem } {
  const readable = volumes.flatMap((volume) => {
    const { fileSystem } = volume;
    return fileSystem === undefined ? [] : [{ ...volume, fileSystem }];
  });
  const candidates = volumes.map((volume) => ({
    path: volume.number === 0 ? volume.description : `partition ${volume.number}`,
    outcome: outcomeOf(volume),
  }));
  if (number !== undefined) {
    const meant = volumes.find((volume) => volume.number === number);
    if (meant?.problem !== undefined) throw meant.problem;
    const chosen = readable.find((volume) => volume.number === number);
    if (chosen !== undefined) return chosen;
    throw missing(path, `there is no partition ${number}`, candidates);
  }
  const [first] = readable;
  if (readable.length === 1) return first!;
  if (first === undefined) {
    if (volumes.length === 1) throw volumes[0]!.problem!;
    throw missing(path, 'no partition holds a file system that is read here', candidates);
  }
  throw new VmdkError('usage', 'file-system-ambiguous', 'more than one partition holds a file system', {
    path,
    candidates,
    hint: 'Say which: --partition N.',
  });
}

function missing(path: string, what: string, candidates: { path: string; outcome: string }[]): VmdkError {
  return new VmdkError('missing', 'file-system-missing', what, { path, candidates });
}

function outcomeOf({ fileSystem, problem }: FoundVolume): string {
  if (fileSystem === undefined)
    return (problem!.message.split('\n')[0] ?? '').replace(`${problem!.context.path}: `, '');
  return fileSystem.label === '' ? fileSystem.kind : `${fileSystem.kind} "${fileSystem.label}"`;
}

async function look(
  disk: Volume,
  { start, count }: { start: number; count: number },
): Promise<{ fileSystem: FileSystem } | { problem: VmdkError }> {
  const volume = disk.part(start, count);
  try {
    const fileSystem = (await openExt(volume)) ?? (await openFat(volume));
    if (fileSystem !== undefined) return { fileSystem };
    return { problem: await unknownKind(volume) };
  } catch (problem) {
    if (isVmdkError(problem)) return { problem };
    throw problem;
  }
}

/** Magic numbers of others: byte, text, what it is. */
const OTHERS: readonly (readonly [at: number, magic: string, name: string])[] = [
  [0, 'XFSB', 'XFS'],
  [0, 'LUKS\xba\xbe', 'LUKS (encrypted)'],
  [0, 'hsqs', 'squashfs'],
  [3, '-FVE-FS-', 'BitLocker (encrypted)'],
  [512, 'LABELONE', 'an LVM physical volume'],
  [4086, 'SWAPSPACE2', 'Linux swap'],
  [32_769, 'CD001', 'ISO 9660'],
  [65_600, '_BHRfS_M', 'btrfs'],
  [0x100000, '\x0d\xd0\x01\xc0', 'VMFS'],
];

async function unknownKind(volume: Volume): Promise<VmdkError> {
  const hint =
    'ext2, ext3, ext4 and FAT are looked into here. Sleuthkit and others read more: give them the contents (`vmdkit serve DISK`, `vmdkit convert DISK RAW`).';
  const found = await otherKind(volume);
  if (found === undefined) return volume.unsupported('no file system is recognised');
  return volume.unsupported(`${found} is not looked into`, { hint });
}

async function otherKind(volume: Volume): Promise<string | undefined> {
  if (volume.bytes < SECTOR_BYTES) return undefined;
  const oem = oemName(await volume.read(0, SECTOR_BYTES));
  if (oem === 'NTFS') return 'NTFS';
  if (oem === 'EXFAT') return 'exFAT';
  for (const [at, magic, name] of OTHERS) {
    if (at + magic.length > volume.bytes) continue;
    if ((await volume.read(at, magic.length)).toString('latin1') === magic) return name;
  }
  return undefined;
}

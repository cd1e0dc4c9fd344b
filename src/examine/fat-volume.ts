// FAT12, FAT16 and FAT32, read as they stand. Which of the three it is follows from the number of clusters alone, as
// Microsoft's specification says. Deleted entries are passed over.
import type { Finding } from '../core/finding.ts';
import { isPowerOfTwo, SECTOR_BYTES } from '../core/units.ts';
import { FatBootSector, isBootSector, oemName } from '../format/boot-sector.ts';
import { FatEntryReader, type FatBits, type FatEntry } from '../format/fat.ts';
import { FAT16_TAIL_AT, Fat16Tail } from '../format/volume-heads.ts';
import { FatTable } from './fat-table.ts';
import {
  MOST_ENTRIES,
  type FileContents,
  type FileNode,
  type FileStretchOnDisk,
  type FileSystem,
  type FileSystemKind,
} from './file-system.ts';
import { Stretches } from './stretches.ts';
import type { Volume } from './volume.ts';

interface FatNode extends FileNode {
  readonly cluster: number;
}

interface Geometry {
  readonly bits: FatBits;
  readonly clusterBytes: number;
  /** Bytes of the volume. */
  readonly tableAt: number;
  readonly rootAt: number;
  readonly rootBytes: number;
  readonly dataAt: number;
  /** Number of the last cluster, plus one. */
  readonly clusters: number;
  readonly rootCluster: number;
}

const ENTRY = 32;
/** FAT folders end here: 65,536 entries. */
const LARGEST_FOLDER = 65_536 * ENTRY;
/** Sleuthkit counts inodes from 3 on, the root is 2. */
const FIRST_INODE = 3;
const ROOT_INODE = 2;

/** Undefined when there is no FAT boot sector. @throws VmdkError `file-system-damaged`. */
export async function openFat(volume: Volume): Promise<FileSystem | undefined> {
  if (volume.bytes < SECTOR_BYTES) return undefined;
  const sector = await volume.read(0, SECTOR_BYTES);
  const raw = FatBootSector.decode(sector);
  if (raw.Signature !== 0xaa55 || !isBootSector(sector) || ['NTFS', 'EXFAT'].includes(oemName(sector))) {
    return undefined;
  }
  const geometry = geometryOf(volume, raw);
  const wide = geometry.bits === 32;
  const id = wide ? raw.BS_VolID : Fat16Tail.decode(sector, FAT16_TAIL_AT).BS_VolID;
  const fat = new FatVolume(volume, geometry, id);
  await fat.begin();
  return fat;
}

function geometryOf(volume: Volume, raw: ReturnType<typeof FatBootSector.decode>): Geometry {
  const sectorBytes = raw.BPB_BytsPerSec;
  if (!isPowerOfTwo(raw.BPB_SecPerClus)) throw volume.damaged('the FAT boot sector makes no sense');
  const clusterBytes = raw.BPB_SecPerClus * sectorBytes;
  const fatSectors = raw.BPB_FATSz16 === 0 ? raw.BPB_FATSz32 : raw.BPB_FATSz16;
  const total = raw.BPB_TotSec16 === 0 ? raw.BPB_TotSec32 : raw.BPB_TotSec16;
  const tableAt = raw.BPB_RsvdSecCnt * sectorBytes;
  const rootAt = tableAt + raw.BPB_NumFATs * fatSectors * sectorBytes;
  const rootBytes = Math.ceil((raw.BPB_RootEntCnt * ENTRY) / sectorBytes) * sectorBytes;
  const dataAt = rootAt + rootBytes;
  const count = Math.floor((total * sectorBytes - dataAt) / clusterBytes);
  const bits = count < 4085 ? 12 : count < 65_525 ? 16 : 32;
  if (fatSectors === 0 || count < 1 || fatSectors * sectorBytes * 8 < (count + 2) * bits) {
    throw volume.damaged('the FAT boot sector makes no sense', {
      field: 'BPB_FATSz',
      found: `${fatSectors} sectors of table for ${count} clusters`,
      expected: 'an entry for each cluster',
    });
  }
  return {
    bits,
    clusterBytes,
    tableAt,
    rootAt,
    rootBytes,
    dataAt,
    clusters: count + 2,
    rootCluster: bits === 32 ? raw.BPB_RootClus : 0,
  };
}

class FatVolume implements FileSystem<FatNode> {
  readonly kind: FileSystemKind;
  readonly volume: Volume;
  readonly id: string;
  readonly blockBytes: number;
  readonly utc = false;
  readonly findings: Finding[] = [];
  readonly root: FatNode;
  label = '';
  readonly #geometry: Geometry;
  readonly #table: FatTable;

  constructor(volume: Volume, geometry: Geometry, id: number) {
    const { bits, clusterBytes, tableAt, clusters, rootCluster } = geometry;
    this.volume = volume;
    this.kind = `fat${bits}`;
    this.blockBytes = clusterBytes;
    this.id = id
      .toString(16)
      .toUpperCase()
      .padStart(8, '0')
      .replace(/^(.{4})/, '$1-');
    this.#geometry = geometry;
    this.#table = new FatTable(volume, tableAt, bits, clusters);
    this.root = { name: '', inode: ROOT_INODE, kind: 'folder', size: 0, cluster: rootCluster };
  }

  /** The label stands in the root folder. */
  async begin(): Promise<void> {
    const reader = new FatEntryReader();
    const [first] = await this.#folderStretches(this.root);
    if (first === undefined) return;
    reader.read(await this.#readStretch(first, 0, Math.min(this.blockBytes, first.count * SECTOR_BYTES)), 0);
    this.label = reader.label ?? '';
  }

  async list(folder: FatNode): Promise<FatNode[]> {
    const nodes: FatNode[] = [];
    const reader = new FatEntryReader();
    let slot = 0;
    for (const stretch of await this.#folderStretches(folder)) {
      const length = stretch.count * SECTOR_BYTES;
      for (let at = 0; at < length && !reader.ended; at += this.blockBytes) {
        const piece = await this.#readStretch(stretch, at, Math.min(this.blockBytes, length - at));
        for (const entry of reader.read(piece, slot)) {
          if (nodes.length === MOST_ENTRIES) throw this.volume.damaged('a folder has too many entries');
          nodes.push(this.#node(entry, stretch, at + (entry.slot - slot) * ENTRY));
        }
        slot += piece.length / ENTRY;
      }
    }
    return nodes;
  }

  async contents(node: FatNode): Promise<FileContents> {
    if (node.kind === 'folder') return { stretches: await this.#folderStretches(node) };
    if (node.size === 0 || node.cluster === 0) return { stretches: [] };
    const clusters = Math.ceil(node.size / this.blockBytes);
    const stretches = await this.#chain(node.cluster, clusters);
    const held = stretches.reduce((sum, { count }) => sum + count * SECTOR_BYTES, 0);
    if (held < node.size) {
      throw this.volume.damaged(`the clusters of file ${node.inode} end before the file`, {
        found: `${held} bytes`,
        expected: `${node.size} bytes`,
      });
    }
    return { stretches };
  }

  /** The root of FAT12 and FAT16 lies before the clusters. */
  async #folderStretches(folder: FatNode): Promise<readonly FileStretchOnDisk[]> {
    const { bits, rootAt, rootBytes } = this.#geometry;
    if (folder.inode !== ROOT_INODE || bits === 32) {
      if (folder.cluster === 0) return [];
      return this.#chain(folder.cluster, Number.MAX_SAFE_INTEGER, LARGEST_FOLDER);
    }
    const stretches = new Stretches(this.volume);
    stretches.add(0, rootAt, rootBytes);
    return stretches.list;
  }

  async #chain(first: number, clusters: number, mostBytes = Infinity): Promise<FileStretchOnDisk[]> {
    const { clusterBytes, dataAt } = this.#geometry;
    const stretches = new Stretches(this.volume);
    let offset = 0;
    await this.#table.follow(first, clusters, (cluster, count) => {
      const length = Math.min(count * clusterBytes, Math.max(0, mostBytes - offset));
      stretches.add(offset, dataAt + (cluster - 2) * clusterBytes, length);
      offset += length;
    });
    return stretches.list;
  }

  #readStretch(stretch: FileStretchOnDisk, at: number, length: number): Promise<Buffer> {
    return this.volume.read((stretch.start - this.volume.start) * SECTOR_BYTES + at, length);
  }

  #node(entry: FatEntry, { start }: FileStretchOnDisk, at: number): FatNode {
    const place = (start - this.volume.start) * SECTOR_BYTES + at;
    const { name, folder, size, cluster, modified, accessed, created } = entry;
    return {
      name,
      // Sleuthkit's number: entries counted from where folders and files may lie.
      inode: (place - this.#geometry.rootAt) / ENTRY + FIRST_INODE,
      kind: folder ? 'folder' : 'file',
      size: folder ? 0 : size,
      modified,
      accessed,
      created,
      cluster,
    };
  }
}

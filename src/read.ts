// The library's reading half, `vmdkit/read`: for programs that start often and only open disks and read them. It loads a
// quarter of what `vmdkit` does; all of it is the same there.

export { openChain } from './chain/open-chain.ts';
export type { Chain } from './chain/chain.ts';
export type { ChainOptions, PathMapping } from './chain/chain-options.ts';
export { openDisk } from './disk/open-disk.ts';
export type { OpenOptions } from './disk/open-options.ts';
export type { Disk, PlacedExtent } from './disk/disk.ts';
export type { Extent, ExtentKind } from './extent/extent.ts';
export type { PlannedSource, SectorSource } from './block/sector-source.ts';
export { sectorRange, type SectorRange } from './block/sector-range.ts';
export type { GrainColumn, GrainTables } from './block/grain-fold.ts';
export { RunList, type DataOrigin, type SectorRun, type SectorState } from './block/run-list.ts';
export { walkRuns, wholeOf } from './block/read-runs.ts';
export { readBytes } from './block/byte-access.ts';
export { createReadStream, type ReadStreamOptions } from './block/streams.ts';
export { copySectors, type CopyOptions, type WriteAt } from './block/copy-sectors.ts';
export { createNodeFileStore, type NodeFileStoreOptions } from './storage/node-file-store.ts';
export { createMemoryFileStore } from './storage/memory-file-store.ts';
export type { FileStore, RandomAccessFile } from './storage/file-store.ts';
export { isVmdkError, VmdkError, type ErrorContext, type ErrorKind } from './core/errors.ts';
export { bytes, sectors, SECTOR_BYTES, type Bytes, type Sectors } from './core/units.ts';

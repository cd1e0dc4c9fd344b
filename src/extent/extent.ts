// One file's sectors. An extent knows nothing of parents and nothing of the extents beside it.
import type { DataOrigin } from '../block/run-list.ts';
import type { SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import type { Sectors } from '../core/units.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';

export type ExtentKind = 'flat' | 'zero' | 'no-access' | 'sparse' | 'stream' | 'cowd' | 'sesparse';

export interface Extent extends SectorSource {
  readonly kind: ExtentKind;
  /** The file, or undefined where there is none (ZERO, NOACCESS). */
  readonly path: string | undefined;
  /** Sectors that are allocated together; 1 where there are no grains. */
  readonly grainSize: Sectors;
  /** Fields of the file's header worth showing, in the format's own words. */
  readonly header: Readonly<Record<string, number | boolean | string>>;
}

export interface WritableExtent extends Extent {
  /** True when its last writer did not close it: `begin` settles it, `close` then marks it clean. */
  readonly unclean: boolean;
  /**
   * Writes from sector `start`. Sectors that `map` calls absent or zero must come as whole grains (cut only by the
   * end of the extent): making a grain whole is the chain's work.
   */
  write(start: Sectors, data: Uint8Array): Promise<void>;
  /** Makes whole grains read as zeros; `hidesParent` says that absent would not mean zeros. */
  zero(range: SectorRange, hidesParent: boolean): Promise<void>;
  /** Marks the file as being written, durably, before the first change. */
  begin(): Promise<void>;
  /** Data first, then the tables that point to it, then their copies; durable after it returns. */
  flush(): Promise<void>;
}

/** The plain origin: bytes of a file are bytes of sectors. */
export function plainOrigin(file: RandomAccessFile): DataOrigin {
  return {
    path: file.path,
    compressed: false,
    read: (into, offset) => file.readExactly(into, offset),
  };
}

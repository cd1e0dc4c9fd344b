// The disks of one scan by file identity, each read once: those of the scanned folders, and those outside that hints
// and machines lead to. Rule: what is no disk is remembered as well, and never opened twice.
import { isVmdkError } from '../core/errors.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { readDiskFacts, type DiskFacts, type DiskReader } from './scan-disk.ts';

export interface DiskPool {
  /** The disk at a place that the guard has allowed; undefined for what is no disk. */
  at(place: ResolvedPath): Promise<DiskFacts | undefined>;
  /** Scanned disks in the order given, then those outside by path. */
  all(): readonly DiskFacts[];
  isOutside(identity: string): boolean;
}

/** `notDisks` are files that were tried already. */
export function diskPool(
  reader: DiskReader,
  scanned: readonly DiskFacts[],
  notDisks: Iterable<string> = [],
): DiskPool {
  const inside = new Set(scanned.map(({ identity }) => identity));
  const known = new Map<string, Promise<DiskFacts | undefined>>();
  const outside = new Map<string, DiskFacts>();
  for (const identity of notDisks) known.set(identity, Promise.resolve(undefined));
  for (const disk of scanned) known.set(disk.identity, Promise.resolve(disk));
  const read = async (place: ResolvedPath): Promise<DiskFacts | undefined> => {
    try {
      const disk = await readDiskFacts(reader, place);
      outside.set(disk.identity, disk);
      return disk;
    } catch (error) {
      if (isVmdkError(error)) return undefined;
      throw error;
    }
  };
  return {
    at(place) {
      let reading = known.get(place.identity);
      if (reading === undefined) known.set(place.identity, (reading = read(place)));
      return reading;
    },
    all: () => [
      ...scanned,
      ...[...outside.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)),
    ],
    isOutside: (identity) => !inside.has(identity),
  };
}

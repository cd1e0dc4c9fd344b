// Fresh deltas that stand on a disk themselves. Nobody wrote to them, so they have the CID that was the disk's when they were
// made, which is that of its own parent, or the one that all new disks have (fffffffe), which its parent may have as well: a
// search for this parent finds them. Told by names, within the folder of the disk.
import { basename, dirname } from '../storage/place-names.ts';

export interface NamedDisk {
  readonly path: string;
  /** The last part of its hint. */
  readonly parentName?: string | undefined;
}

/** Those of `fresh` whose hints lead to the disk `child`, straight or over others of `all`. */
export function freshAbove<T extends NamedDisk>(
  child: string,
  fresh: readonly T[],
  all: readonly T[],
): ReadonlySet<T> {
  const [folder, name] = [dirname(child), basename(child)];
  const above = new Set<T>();
  const isBeside = ({ path }: T): boolean => dirname(path) === folder;
  if (!all.some((one) => one.parentName === name && isBeside(one))) return above;
  const byName = new Map(all.filter(isBeside).map((one) => [basename(one.path), one]));
  for (const one of fresh.filter(isBeside)) {
    const way = new Set<T>();
    let link: T | undefined = one;
    while (link !== undefined && !way.has(link)) {
      way.add(link);
      if (link.parentName === name || above.has(link)) {
        for (const passed of way) above.add(passed);
        break;
      }
      link = byName.get(link.parentName ?? '');
    }
  }
  return above;
}

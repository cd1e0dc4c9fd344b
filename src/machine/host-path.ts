// Where a file that is here lies for the host that runs machines: path mappings read backwards. Rule: what no mapping
// says for sure stays as it is here.
import { posix } from 'node:path';

/** Where a folder of the host is here, as `--map` has it: `/vmfs/volumes/ds1` is `/mnt/ds1`. */
export interface HostPath {
  readonly from: string;
  readonly to: string;
}

/** The path on the host; undefined when no mapping leads there, or one that stands for any name. */
export function hostPathOf(path: string, mappings: readonly HostPath[]): string | undefined {
  for (const { from, to } of mappings) {
    if (!from.startsWith('/') || from.includes('*') || !isWithin(to, path)) continue;
    // `--root` maps a folder both as all datastores and as one of them: which it is, only the reader finds out.
    if (mappings.some((other) => other.to === to && other.from === `${from}/*`)) continue;
    return posix.join(from, posix.relative(to, path));
  }
  return undefined;
}

function isWithin(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

// A forest as rows, bases first, each disk right below its parent: what the text tree and the drawing have in common.
// Rule: no recursion and no row that grows with its depth, since a chain may be as long as somebody made it.
import { posix } from 'node:path';
import type { Forest, ForestDisk } from './forest.ts';

export interface TreeRow {
  readonly disk: ForestDisk;
  /** 0 for what has no parent. */
  readonly depth: number;
  /** Whether it is the last of its siblings. */
  readonly last: boolean;
  /** For each level above its own, up to `MOST_RAILS`: whether more siblings follow there. */
  readonly rails: readonly boolean[];
  /** The row of its parent. */
  readonly parentRow: number | undefined;
}

/** Levels that are shown by indenting; what is deeper stands at this depth. */
export const MOST_RAILS = 32;

export function treeRows(forest: Forest): TreeRow[] {
  const rows: TreeRow[] = [];
  const waiting: Omit<TreeRow, 'disk'>[] = [];
  const disks: ForestDisk[] = [];
  const push = (disk: ForestDisk, row: Omit<TreeRow, 'disk'>): void => {
    disks.push(disk);
    waiting.push(row);
  };
  const roots = forest.disks.filter(({ parent }) => parent === undefined);
  for (const disk of roots.toReversed())
    push(disk, { depth: 0, last: true, rails: [], parentRow: undefined });
  for (;;) {
    const disk = disks.pop();
    const row = waiting.pop();
    if (disk === undefined || row === undefined) return rows;
    const at = rows.push({ disk, ...row }) - 1;
    const rails = row.depth === 0 || row.depth >= MOST_RAILS ? row.rails : [...row.rails, !row.last];
    const { children } = disk;
    for (let child = children.length - 1; child >= 0; child--) {
      const last = child === children.length - 1;
      push(forest.byPath.get(children[child]!)!, { depth: row.depth + 1, last, rails, parentRow: at });
    }
  }
}

/** Who uses the disk, in a word each: `web-1`, `golden at "ready"`. */
export function usersOf(forest: Forest, disk: ForestDisk): string[] {
  const names = disk.uses.map(({ machine, snapshot }) => {
    const user = forest.machines.find(({ path }) => path === machine);
    const name = user?.name ?? posix.basename(machine);
    if (snapshot === undefined) return name;
    const taken = user?.snapshots.find(({ uid }) => uid === snapshot);
    return `${name} at "${taken?.name ?? snapshot}"`;
  });
  return [...new Set(names)];
}

/** The path as seen from the one folder that was scanned; whole when there were several, or when it lies outside. */
export function nameInForest({ roots }: Pick<Forest, 'roots'>, path: string): string {
  const [root, ...more] = roots;
  if (root === undefined || more.length > 0 || !path.startsWith(root === '/' ? '/' : `${root}/`)) return path;
  return posix.relative(root, path);
}

/** What is worst about the disk. */
export function gravestOf({ problems }: ForestDisk): 'error' | 'warning' | undefined {
  if (problems.some(({ severity }) => severity === 'error')) return 'error';
  return problems.some(({ severity }) => severity === 'warning') ? 'warning' : undefined;
}

// What deleting a disk with everything that hangs on it would free. Rule: a file that several disks name is free only
// when all of them are gone, so its bytes count where their ways down meet, or nowhere.
import type { DiskFacts } from './scan-disk.ts';

/** Bytes by identity. `parentOf` gives the parent's identity; it leads in no circle. */
export function freeableSpace(
  disks: readonly DiskFacts[],
  parentOf: (identity: string) => string | undefined,
): Map<string, number> {
  const depths = depthsOf(disks, parentOf);
  const freeable = ownBytes(disks, parentOf, depths);
  const deepestFirst = [...disks].sort((a, b) => depths.get(b.identity)! - depths.get(a.identity)!);
  for (const { identity } of deepestFirst) {
    const parent = parentOf(identity);
    if (parent !== undefined) freeable.set(parent, freeable.get(parent)! + freeable.get(identity)!);
  }
  return freeable;
}

/** Links from a disk down to its base, itself included. */
export function depthsOf(
  disks: readonly DiskFacts[],
  parentOf: (identity: string) => string | undefined,
): Map<string, number> {
  const depths = new Map<string, number>();
  for (const { identity } of disks) {
    const way: string[] = [];
    let at: string | undefined = identity;
    while (at !== undefined && !depths.has(at)) {
      way.push(at);
      at = parentOf(at);
    }
    let depth = at === undefined ? 0 : depths.get(at)!;
    for (const link of way.toReversed()) depths.set(link, ++depth);
  }
  return depths;
}

function ownBytes(
  disks: readonly DiskFacts[],
  parentOf: (identity: string) => string | undefined,
  depths: ReadonlyMap<string, number>,
): Map<string, number> {
  const bytes = new Map(disks.map(({ identity }) => [identity, 0]));
  const owners = new Map<string, { readonly allocated: number; owner: string | undefined }>();
  for (const { identity, files } of disks) {
    for (const file of files) {
      const known = owners.get(file.identity);
      if (known === undefined) owners.set(file.identity, { allocated: file.allocated, owner: identity });
      else if (known.owner !== undefined) known.owner = meeting(known.owner, identity, parentOf, depths);
    }
  }
  for (const { allocated, owner } of owners.values())
    if (owner !== undefined) bytes.set(owner, bytes.get(owner)! + allocated);
  return bytes;
}

/** The highest disk that is on both ways down; undefined when they never meet. */
function meeting(
  one: string,
  two: string,
  parentOf: (identity: string) => string | undefined,
  depths: ReadonlyMap<string, number>,
): string | undefined {
  let [a, b]: (string | undefined)[] = [one, two];
  while (a !== b && a !== undefined && b !== undefined) {
    if (depths.get(a)! >= depths.get(b)!) a = parentOf(a);
    else b = parentOf(b);
  }
  return a === b ? a : undefined;
}

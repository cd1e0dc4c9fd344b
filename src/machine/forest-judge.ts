// What a forest tells that no single disk does: what nobody uses, which bases were written to under their children, and
// chains that have grown too long. Pure.
import { posix } from 'node:path';
import { MOST_LINKS, MOST_SUPPORTED_LINKS } from '../chain/chain-options.ts';
import type { ChangedBase, Forest, ForestDisk, LongChain, Orphan } from './forest.ts';
import type { DiskFacts } from './scan-disk.ts';
import type { ParentLink } from './scan-parents.ts';
import type { ScanResults } from './scan-results.ts';
import { compare } from './scan-walk.ts';

/** Lab Manager and vCloud Director copied whole disks beyond this many links. */
const MOST_USUAL_LINKS = 30;

/**
 * Deltas, disks, extents and snapshots that nothing refers to. Where no machine was found, nobody could refer to a disk:
 * then only what is incomplete counts.
 */
export function orphansOf(
  forest: Pick<Forest, 'disks' | 'byPath' | 'machines'>,
  { extents, walk, machines: facts }: ScanResults,
): Orphan[] {
  const orphans: Orphan[] = [];
  const { machines } = forest;
  for (const { path, allocated } of extents) {
    const message = 'part of a disk by its name or content, and no descriptor names it';
    orphans.push({ kind: 'extent', path, freeable: allocated, message });
  }
  if (machines.length > 0) orphans.push(...unusedDisks(forest));
  orphans.push(...lostSnapshots(machines));
  const databases = new Set(facts.flatMap(({ vmsdPath }) => vmsdPath ?? []));
  const states = new Set(
    facts.flatMap(({ path, snapshots }) =>
      snapshots.snapshots.flatMap(({ vmsn }) =>
        vmsn === undefined
          ? []
          : [posix.join(posix.dirname(path), posix.basename(vmsn.replaceAll('\\', '/')))],
      ),
    ),
  );
  for (const { path, size, allocated } of walk.files) {
    if (/\.vmsd$/i.test(path) && !databases.has(path) && size > 0) {
      const message = 'a snapshot database of no machine here';
      orphans.push({ kind: 'snapshot', path, freeable: allocated, message });
    } else if (/\.vmsn$/i.test(path) && !states.has(path)) {
      const message = 'the state of a snapshot that no machine here records';
      orphans.push({ kind: 'snapshot', path, freeable: allocated, message });
    }
  }
  return orphans.sort((a, b) => compare(a.path, b.path) || compare(a.message, b.message));
}

/** Disks that no machine and no snapshot uses, nor anything that stands on them; each with the bytes of its own. */
function unusedDisks({ disks, byPath }: Pick<Forest, 'disks' | 'byPath'>): Orphan[] {
  const used = new Set<string>();
  for (const { path, uses } of disks) {
    if (uses.length === 0) continue;
    for (let at: string | undefined = path; at !== undefined && !used.has(at); at = byPath.get(at)?.parent)
      used.add(at);
  }
  return disks
    .filter(({ path, outside }) => !outside && !used.has(path))
    .map(({ path, delta, children, freeable }) => {
      const above = children.reduce((sum, child) => sum + byPath.get(child)!.freeable, 0);
      const message =
        children.length === 0
          ? 'no machine, no snapshot and no other disk refers to it'
          : 'only disks that nothing refers to stand on it';
      return { kind: delta ? 'delta' : 'disk', path, freeable: freeable - above, message };
    });
}

function lostSnapshots(machines: Forest['machines']): Orphan[] {
  return machines.flatMap(({ path, snapshots }) =>
    snapshots.flatMap(({ uid, name, disks }) => {
      const lost = disks.filter((disk) => disk.path === undefined && disk.fileName !== '');
      if (lost.length === 0) return [];
      const names = lost.map(({ fileName }) => `"${fileName}"`).join(', ');
      const message = `snapshot ${uid} "${name}" stands on disks that are not there: ${names}`;
      return [{ kind: 'snapshot' as const, path, freeable: 0, message }];
    }),
  );
}

/** Bases that children name and that no longer have the CID these were made over. */
export function changedBasesOf(
  facts: readonly DiskFacts[],
  links: ReadonlyMap<string, ParentLink>,
): ChangedBase[] {
  const changed = new Map<
    string,
    { base: DiskFacts; children: { path: string; expected: number }[]; candidates: Set<string> }
  >();
  for (const { identity, path, parentCid } of facts) {
    const link = links.get(identity);
    if (link?.parent === undefined || link.fits !== false) continue;
    const base = link.parent;
    const entry = changed.get(base.identity) ?? { base, children: [], candidates: new Set<string>() };
    entry.children.push({ path, expected: parentCid! });
    for (const candidate of link.candidates)
      if (!standsOn(candidate.identity, base.identity, links)) entry.candidates.add(candidate.path);
    changed.set(base.identity, entry);
  }
  return [...changed.values()]
    .map(({ base, children, candidates }) => ({
      path: base.path,
      cid: base.cid,
      children: children.sort((a, b) => compare(a.path, b.path)),
      candidates: [...candidates].sort(compare),
    }))
    .sort((a, b) => compare(a.path, b.path));
}

/** A delta that nobody wrote to has the CID that its base had, and holds nothing of it: no copy as it was. */
function standsOn(identity: string, base: string, links: ReadonlyMap<string, ParentLink>): boolean {
  const seen = new Set<string>();
  for (let at: string | undefined = identity; at !== undefined && !seen.has(at);) {
    if (at === base) return true;
    seen.add(at);
    at = links.get(at)?.parent?.identity;
  }
  return false;
}

/** Leaves whose chains are longer than is usual, supported, or possible. */
export function longChainsOf(disks: readonly ForestDisk[]): LongChain[] {
  const chains: LongChain[] = [];
  for (const { path, links, children } of disks) {
    if (children.length > 0 || links <= MOST_USUAL_LINKS) continue;
    const severity = links > MOST_SUPPORTED_LINKS ? 'error' : 'warning';
    chains.push({ path, links, severity, advice: adviceFor(links) });
  }
  return chains;
}

function adviceFor(links: number): string {
  if (links > MOST_LINKS)
    return `more than ${MOST_LINKS} links: nothing opens it. Copy the disk from the highest link that still opens.`;
  if (links > MOST_SUPPORTED_LINKS)
    return `more than the ${MOST_SUPPORTED_LINKS} links that VMware supports: delete snapshots, or make a full clone, before anything else.`;
  return `more than ${MOST_USUAL_LINKS} links, where vCloud Director made a full copy, and near the ${MOST_SUPPORTED_LINKS} that VMware supports: delete snapshots, or make a full clone.`;
}

/** vmfsSparse and seSparse deltas do not go together. */
export function mixedTypes(one: string, two: string): boolean {
  return (one === 'vmfsSparse' && two === 'seSparse') || (one === 'seSparse' && two === 'vmfsSparse');
}

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
  { disks, machines }: Pick<Forest, 'disks' | 'machines'>,
  { extents, walk, machines: facts }: ScanResults,
): Orphan[] {
  const orphans: Orphan[] = [];
  for (const { path, allocated } of extents) {
    const message = 'part of a disk by its name or content, and no descriptor names it';
    orphans.push({ kind: 'extent', path, freeable: allocated, message });
  }
  if (machines.length > 0) orphans.push(...unusedDisks(disks));
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

function unusedDisks(disks: readonly ForestDisk[]): Orphan[] {
  return disks
    .filter(({ outside, children, uses }) => !outside && children.length === 0 && uses.length === 0)
    .map(({ path, delta, freeable }) => {
      const kind = delta ? 'delta' : 'disk';
      return { kind, path, freeable, message: 'no machine, no snapshot and no other disk refers to it' };
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
    for (const candidate of link.candidates) entry.candidates.add(candidate.path);
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

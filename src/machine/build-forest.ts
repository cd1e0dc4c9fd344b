// Puts what a scan has read together: disks with their children and users, machines with what they share. Pure: all
// reading is done by now.
import { posix } from 'node:path';
import type { Finding } from '../core/finding.ts';
import { printCid } from '../format/content-id.ts';
import { depthsOf, freeableSpace } from './forest-space.ts';
import { changedBasesOf, longChainsOf, mixedTypes, orphansOf } from './forest-judge.ts';
import { candidateFor, type BrokenHint, type DiskUse, type Forest, type ForestDisk } from './forest.ts';
import { describeMachines } from './forest-machines.ts';
import type { DiskFacts } from './scan-disk.ts';
import type { MachineFacts } from './scan-machines.ts';
import type { ParentLink } from './scan-parents.ts';
import type { ScanResults } from './scan-results.ts';
import { compare } from './scan-walk.ts';

export function buildForest(results: ScanResults): Forest {
  const { walk, pool, links } = results;
  const facts = pool.all();
  const disks = describeDisks(facts, results);
  const byPath = new Map(disks.map((disk) => [disk.path, disk]));
  const pathOf = new Map(disks.map(({ identity, path }) => [identity, path]));
  const machines = describeMachines(results.machines, byPath, pathOf);
  const forest = { disks, byPath, machines };
  return {
    roots: walk.roots,
    disks,
    byPath,
    occupied: occupiedBy(facts),
    machines,
    orphans: orphansOf(forest, results),
    brokenHints: brokenHintsOf(facts, links),
    changedBases: changedBasesOf(facts, links),
    longChains: longChainsOf(disks),
    problems: [...results.problems].sort((a, b) => compare(a.path, b.path)),
    skipped: walk.skipped,
    complete: walk.complete,
  };
}

function occupiedBy(facts: readonly DiskFacts[]): number {
  const files = new Map(facts.flatMap((disk) => disk.files.map((file) => [file.identity, file.allocated])));
  let sum = 0;
  for (const allocated of files.values()) sum += allocated;
  return sum;
}

function describeDisks(facts: readonly DiskFacts[], { pool, links, machines }: ScanResults): ForestDisk[] {
  const parentOf = (identity: string): string | undefined => links.get(identity)?.parent?.identity;
  const freeable = freeableSpace(facts, parentOf);
  const depths = depthsOf(facts, parentOf);
  const uses = usesOf(machines);
  const children = new Map<string, string[]>();
  for (const { identity, path } of facts) {
    const parent = parentOf(identity);
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [path]);
    else siblings.push(path);
  }
  const described = facts.map((disk): ForestDisk => {
    const { identity, hint, merging } = disk;
    const link = links.get(identity);
    const used = uses.get(identity) ?? [];
    return {
      path: disk.path,
      identity,
      createType: disk.createType,
      cid: disk.cid,
      parentCid: disk.parentCid,
      ...(hint === undefined ? {} : { hint }),
      ...(merging === undefined ? {} : { merging }),
      capacity: disk.capacity,
      occupied: disk.files.reduce((sum, { allocated }) => sum + allocated, 0),
      files: disk.files.map(({ path }) => path),
      outside: pool.isOutside(identity),
      delta: disk.delta,
      ...(link?.parent === undefined
        ? {}
        : { parent: link.parent.path, foundBy: link.foundBy!, fits: link.fits! }),
      children: (children.get(identity) ?? []).sort(compare),
      machines: [...new Set(used.map(({ machine }) => machine))],
      uses: used,
      links: depths.get(identity)!,
      problems: [...disk.problems, ...linkProblems(disk, link)],
      freeable: freeable.get(identity)!,
    };
  });
  return described.sort((a, b) => compare(a.path, b.path));
}

function usesOf(machines: readonly MachineFacts[]): Map<string, DiskUse[]> {
  const uses = new Map<string, DiskUse[]>();
  const add = (identity: string | undefined, use: DiskUse): void => {
    if (identity === undefined) return;
    const known = uses.get(identity);
    if (known === undefined) uses.set(identity, [use]);
    else known.push(use);
  };
  for (const { path: machine, disks, snapshots, snapshotDisks } of machines) {
    for (const { node, identity } of disks) add(identity, { machine, node });
    for (const [index, { uid }] of snapshots.snapshots.entries())
      for (const { node, identity } of snapshotDisks[index]!) add(identity, { machine, node, snapshot: uid });
  }
  return uses;
}

/** What is wrong between a disk and its parent. */
function linkProblems(disk: DiskFacts, link: ParentLink | undefined): Finding[] {
  if (link === undefined) return [];
  const { parent, foundBy, fits, candidates, cycle } = link;
  const note = (code: string, severity: Finding['severity'], message: string): Finding => {
    return { code, severity, message, path: disk.path, repairable: false };
  };
  if (cycle === true) return [note('CHAIN-CYCLE', 'error', 'the chain leads back to itself')];
  if (parent === undefined) {
    const wanted = `no disk with CID ${printCid(disk.parentCid!)} is where the hint leads`;
    const several = candidates.length > 0 ? `; ${candidates.length} others have it` : '';
    return [note('CHAIN-MISSING', 'error', wanted + several)];
  }
  const problems: Finding[] = [];
  if (fits === false) {
    const found = parent.cid === undefined ? 'no readable CID' : `CID ${printCid(parent.cid)}`;
    const message = `made over CID ${printCid(disk.parentCid!)}, and ${parent.path} has ${found} now`;
    problems.push(note('CHAIN-CID', 'error', message));
  }
  if (foundBy === 'cid') {
    const message = `the hint does not lead to the parent; by its CID it is ${parent.path}`;
    problems.push(note('HINT-BROKEN', 'warning', message));
  }
  if (parent.capacity !== disk.capacity) {
    const message = `${disk.capacity} sectors over ${parent.capacity} sectors of ${parent.path}`;
    problems.push(note('CHAIN-CAP', 'error', message));
  }
  if (mixedTypes(disk.createType, parent.createType)) {
    const message = 'vmfsSparse and seSparse deltas in one chain, which VMware does not support';
    problems.push(note('CHAIN-MIX', 'warning', message));
  }
  return problems;
}

function brokenHintsOf(facts: readonly DiskFacts[], links: ReadonlyMap<string, ParentLink>): BrokenHint[] {
  const broken: BrokenHint[] = [];
  for (const disk of facts) {
    const link = links.get(disk.identity);
    if (link === undefined || link.cycle === true || link.foundBy === 'hint') continue;
    const folder = posix.dirname(disk.path);
    broken.push({
      path: disk.path,
      hint: disk.hint ?? '',
      candidates: link.candidates.map(({ path }) => candidateFor(folder, path)),
    });
  }
  return broken.sort((a, b) => compare(a.path, b.path));
}

// The machines of a forest: what each runs on, its snapshots, and whether it is a linked clone. Pure.
import { posix } from 'node:path';
import type { Finding } from '../core/finding.ts';
import type { ForestDisk, ForestMachine, ForestSnapshot, MachineDiskUse } from './forest.ts';
import type { MachineFacts, NamedDisk } from './scan-machines.ts';
import { compare } from './scan-walk.ts';

type Disks = ReadonlyMap<string, ForestDisk>;

export function describeMachines(
  facts: readonly MachineFacts[],
  disks: Disks,
  pathOf: ReadonlyMap<string, string>,
): ForestMachine[] {
  return facts
    .map((machine) => describeMachine(machine, disks, pathOf))
    .sort((a, b) => compare(a.path, b.path));
}

function describeMachine(
  facts: MachineFacts,
  disks: Disks,
  pathOf: ReadonlyMap<string, string>,
): ForestMachine {
  const { path, config, snapshots } = facts;
  const used = (named: readonly NamedDisk[]): MachineDiskUse[] =>
    named.map(({ node, fileName, identity }) => {
      const found = identity === undefined ? undefined : pathOf.get(identity);
      return { node, fileName, ...(found === undefined ? {} : { path: found }) };
    });
  const running = used(facts.disks);
  const described = snapshots.snapshots.map(
    ({ uid, parentUid, displayName, createdAt, clones }, index): ForestSnapshot => ({
      uid,
      name: displayName,
      ...(parentUid === undefined ? {} : { parentUid }),
      current: snapshots.currentUid === uid,
      ...(createdAt === undefined ? {} : { createdAt }),
      disks: used(facts.snapshotDisks[index]!),
      clones,
    }),
  );
  const sharedDisks = sharedBy(path, running, described, disks);
  return {
    path,
    name: config.displayName ?? posix.basename(path).replace(/\.(vmx|vmtx)$/i, ''),
    template: isTemplate(path),
    disks: running,
    snapshots: described,
    cloneOf: snapshots.cloneOf,
    sharedDisks,
    linkedClone: snapshots.cloneOf.length > 0 || sharedDisks.length > 0,
    problems: [...facts.problems, ...problemsOf(facts, running, described, disks)],
  };
}

/**
 * Links below its disks that are not its own: in another folder than the machine and the disk itself, or named by
 * another machine and by none of its own snapshots.
 */
function sharedBy(
  machine: string,
  running: readonly MachineDiskUse[],
  snapshots: readonly ForestSnapshot[],
  disks: Disks,
): string[] {
  const own = new Set(snapshots.flatMap((snapshot) => snapshot.disks.map(({ path }) => path)));
  const shared = new Set<string>();
  for (const { path } of [...running, ...snapshots.flatMap((snapshot) => snapshot.disks)]) {
    const leaf = path === undefined ? undefined : disks.get(path);
    if (leaf === undefined) continue;
    const folders = [posix.dirname(machine), posix.dirname(leaf.path)];
    for (const link of below(leaf, disks)) {
      if (own.has(link.path)) continue;
      const foreign = link.machines.some((other) => other !== machine);
      const ours = link.machines.includes(machine);
      const near = folders.some((folder) => link.path.startsWith(`${folder}/`));
      if (!near || (foreign && !ours)) shared.add(link.path);
    }
  }
  return [...shared].sort(compare);
}

function* below(leaf: ForestDisk, disks: Disks): Generator<ForestDisk> {
  for (let at = leaf.parent; at !== undefined;) {
    const disk = disks.get(at)!;
    yield disk;
    at = disk.parent;
  }
}

function problemsOf(
  { path, snapshots: database }: MachineFacts,
  running: readonly MachineDiskUse[],
  snapshots: readonly ForestSnapshot[],
  disks: Disks,
): Finding[] {
  const problems: Finding[] = [];
  const note = (code: string, severity: Finding['severity'], message: string): void =>
    void problems.push({ code, severity, message, path, repairable: false });
  for (const { node, fileName, path: disk } of running) {
    if (disk === undefined) note('MACHINE-DISK', 'error', `${node} "${fileName}": no disk is found there`);
  }
  if (database.needConsolidate)
    note('MACHINE-CONSOLIDATE', 'warning', 'VMware noted that disks need consolidation');
  const recorded = new Set(snapshots.flatMap((snapshot) => snapshot.disks.map((disk) => disk.path)));
  for (const { node, path: disk } of running) {
    const leaf = disk === undefined ? undefined : disks.get(disk);
    if (leaf === undefined) continue;
    if (leaf.children.length > 0 && !isTemplate(path)) {
      const who = leaf.children.length === 1 ? '1 disk stands' : `${leaf.children.length} disks stand`;
      note(
        'MACHINE-ON-BASE',
        'warning',
        `${node} is ${leaf.path}, and ${who} on it: started, it breaks them`,
      );
    }
    const folder = posix.dirname(leaf.path);
    for (const link of below(leaf, disks)) {
      if (posix.dirname(link.path) !== folder || recorded.has(link.path) || link.machines.length > 0)
        continue;
      // A fork looks alike: nothing is to be mended while linked clones hold it.
      const [severity, why] =
        link.children.length > 1
          ? (['info', ', nor needs to: other disks hold it'] as const)
          : (['warning', ''] as const);
      note(
        'SNAPSHOT-UNRECORDED',
        severity,
        `${node} stands on ${link.path}, which no snapshot records${why}`,
      );
      // One is enough: what is below it was frozen at the same time or before.
      break;
    }
  }
  return problems;
}

/** A template is not started. */
function isTemplate(path: string): boolean {
  return /\.vmtx$/i.test(path);
}

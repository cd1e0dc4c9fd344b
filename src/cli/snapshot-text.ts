// What people read of snapshots: the tree, the plan of a change, and one line when it is done.
import { showText } from '../format/plain-text.ts';
import type { ListedSnapshot, SnapshotListing } from '../machine/snapshot-list.ts';
import type { SnapshotReport } from '../machine/snapshot-types.ts';
import { inColumns } from './columns.ts';
import { plural, sizeText } from './numbers.ts';
import type { Paint } from './output.ts';
import { shownPath } from './shown-path.ts';

/** The tree by parents, in the order of the database; with `all` descriptions, disks and clones too. */
export function listingText(listing: SnapshotListing, all: boolean, paint: Paint): string[] {
  const { snapshots, machine } = listing;
  if (snapshots.length === 0) return [`${shownPath(machine)} has no snapshots`];
  const rows = treeOf(snapshots).map(({ snapshot, lead }) => [
    `${lead}${showText(snapshot.name)}${snapshot.current ? ` ${paint('green', '← here')}` : ''}`,
    String(snapshot.uid),
    snapshot.created === undefined ? 'unknown' : `${snapshot.created.slice(0, 19).replace('T', ' ')} UTC`,
    remarksOf(snapshot),
  ]);
  const heads = [
    { head: 'SNAPSHOT' },
    { head: 'UID', align: 'right' as const },
    { head: 'CREATED' },
    { head: '' },
  ];
  return [
    ...inColumns(heads, rows),
    ...(all ? snapshots.flatMap(detailsOf) : []),
    ...(listing['needs-consolidation'] ? ['deltas are left over from a snapshot that was deleted'] : []),
  ];
}

export function planText(report: SnapshotReport): string[] {
  const { disks, merged, created, changed, removed } = report;
  return [
    ...disks.map(({ node, from, to }) => `${node}: ${shownPath(from)} → ${shownPath(to)}`),
    ...merged.map(({ into, from, bytes }) => {
      const what = bytes === 0 ? 'nothing to copy' : `${sizeText(bytes)} to copy`;
      return `merge ${from.map(shownPath).join(', ')} into ${shownPath(into)}: ${what}`;
    }),
    ...keptLines(report),
    ...created.map((path) => `create ${shownPath(path)}`),
    ...changed.map((path) => `change ${shownPath(path)}`),
    ...removed.map((path) => `remove ${shownPath(path)}`),
    `${sizeText(report['bytes-needed'])} needed, ${freedText(report['bytes-freed'])}`,
  ];
}

export function keptLines({ kept, 'dry-run': dryRun }: SnapshotReport): string[] {
  return kept.map(
    ({ path, reason }) => `${dryRun ? 'keep' : 'kept'} ${shownPath(path)}: ${showText(reason)}`,
  );
}

/** `golden.vmx: took snapshot 4 "before the upgrade": 3 disks` */
export function summaryText(report: SnapshotReport): string {
  const names = report.snapshots.map(({ uid, name }) => `${uid} "${showText(name)}"`).join(', ');
  const { merged, removed, changed } = report;
  const idle = names === '' && merged.length + removed.length + changed.length === 0;
  return `${shownPath(report.machine)}: ${idle ? 'nothing was left to do' : doneText(report, names)}`;
}

function doneText(report: SnapshotReport, names: string): string {
  const { action, disks, merged, removed, snapshots } = report;
  const freed = freedText(report['bytes-freed']);
  switch (action) {
    case 'create':
      return `took snapshot ${names}: ${plural(disks.length, 'disk')}`;
    case 'revert':
      return `runs from snapshot ${names} again: ${plural(disks.length, 'disk')}, ${plural(removed.length, 'file')} removed`;
    case 'rename':
      return `snapshot ${names} renamed`;
    case 'consolidate':
      return `consolidated: ${plural(merged.length, 'disk')} merged, ${plural(removed.length, 'file')} removed, ${freed}`;
    case 'delete':
      return `deleted snapshot${snapshots.length === 1 ? '' : 's'} ${names}: ${plural(merged.length, 'disk')} merged, ${plural(removed.length, 'file')} removed, ${freed}`;
  }
}

function freedText(bytes: number): string {
  return bytes < 0 ? `${sizeText(-bytes)} more used` : `${sizeText(bytes)} freed`;
}

/** Children under their parents; what hangs on nothing known is a root, and so is what a circle would hide. */
function treeOf(snapshots: readonly ListedSnapshot[]): { snapshot: ListedSnapshot; lead: string }[] {
  const lines: { snapshot: ListedSnapshot; lead: string }[] = [];
  const shown = new Set<ListedSnapshot>();
  const add = (snapshot: ListedSnapshot, lead: string, below: string): void => {
    if (shown.has(snapshot)) return;
    shown.add(snapshot);
    lines.push({ snapshot, lead });
    const children = snapshots.filter(({ parent }) => parent === snapshot.uid);
    for (const [index, child] of children.entries()) {
      const last = index === children.length - 1;
      add(child, `${below}${last ? '└ ' : '├ '}`, `${below}${last ? '  ' : '│ '}`);
    }
  };
  const known = new Set(snapshots.map(({ uid }) => uid));
  for (const root of snapshots.filter(({ parent }) => parent === undefined || !known.has(parent)))
    add(root, '', '');
  for (const rest of snapshots) add(rest, '', '');
  return lines;
}

function remarksOf({ memory, clones, disks }: ListedSnapshot): string {
  const broken = disks.filter(({ problem }) => problem !== undefined).length;
  return [
    plural(disks.length, 'disk'),
    ...(memory ? ['with memory'] : []),
    ...(clones.length === 0 ? [] : [plural(clones.length, 'linked clone')]),
    ...(broken === 0 ? [] : [`${plural(broken, 'disk')} cannot be read`]),
  ].join(', ');
}

function detailsOf({ uid, name, description, disks, clones }: ListedSnapshot): string[] {
  return [
    '',
    `${uid} ${showText(name)}`,
    ...(description === '' ? [] : description.split('\n').map((line) => `  ${showText(line)}`)),
    ...disks.map(({ node, filename, problem }) => {
      const what = problem === undefined ? '' : `: ${showText(problem)}`;
      return `  ${node === '' ? 'a disk' : node} ${showText(filename)}${what}`;
    }),
    ...clones.map((vmx) => `  linked clone ${showText(vmx)}`),
  ];
}

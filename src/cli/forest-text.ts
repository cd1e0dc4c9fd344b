// What people read of a scan: the trees, then the machines, then everything that wants attention, worst last.
import { SECTOR_BYTES } from '../core/units.ts';
import { printCid } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import type { Forest, ForestMachine } from '../machine/forest.ts';
import { totalsOf } from '../machine/forest-report.ts';
import { MOST_RAILS, nameInForest, treeRows, usersOf, type TreeRow } from '../machine/forest-tree.ts';
import { inColumns } from './columns.ts';
import { findingLines } from './describe-text.ts';
import { grouped, plural, sizeText } from './numbers.ts';
import type { Paint } from './output.ts';

/** Children of one disk that are shown, unless all is asked for. */
const SHOWN = 12;
/** Lines of one section. */
const SHOWN_LINES = 20;

export function forestText(forest: Forest, paint: Paint, all: boolean): string[] {
  const lines = [...treeLines(forest, paint, all)];
  const section = (title: string, body: readonly string[]): void => {
    if (body.length > 0) lines.push('', paint('bold', title), ...cut(body, all).map((line) => `  ${line}`));
  };
  section('machines', machineLines(forest, all));
  section(
    'not looked into',
    forest.skipped.map(({ path, reason }) => `${shown(forest, path)}: ${reason}`),
  );
  section('nothing refers to', orphanLines(forest));
  section('long chains', longLines(forest, paint));
  section('hints that do not lead to the parent', hintLines(forest));
  section('changed under the disks that stand on it', changedLines(forest, paint));
  const problems = [
    ...forest.problems,
    ...forest.machines.flatMap((machine) => machine.problems),
    ...forest.disks.flatMap((disk) => disk.problems.filter(({ code }) => code !== 'HINT-BROKEN')),
  ];
  const told = all ? problems : problems.filter(({ severity }) => severity !== 'info');
  section('findings', findingLines(told, paint));
  return [...lines, ...(lines.length === 0 ? [] : ['']), summaryLine(forest)];
}

/** `4 disks, 3 of them deltas; 3 machines, 2 of them linked clones; 1 MiB on disk` */
export function summaryLine(forest: Forest): string {
  const totals = totalsOf(forest);
  const orphaned = totals['orphaned-size'];
  const parts = [
    `${plural(totals.disks, 'disk')}, ${totals.deltas} of them deltas`,
    `${plural(totals.machines, 'machine')}, ${totals['linked-clones']} of them linked clones`,
    `${sizeText(totals['actual-size'])} on disk`,
    ...(forest.orphans.length === 0 ? [] : [`${sizeText(orphaned)} that nothing refers to`]),
    ...(forest.complete ? [] : ['not everything was looked at: too many files']),
  ];
  return parts.join('; ');
}

function* treeLines(forest: Forest, paint: Paint, all: boolean): Generator<string> {
  const seen = new Map<number | undefined, number>();
  /** The depth whose further children are left out. */
  let hidden: number | undefined;
  for (const row of treeRows(forest)) {
    if (hidden !== undefined) {
      if (row.depth >= hidden) continue;
      hidden = undefined;
    }
    const before = seen.get(row.parentRow) ?? 0;
    seen.set(row.parentRow, before + 1);
    const siblings = row.disk.parent === undefined ? 0 : forest.byPath.get(row.disk.parent)!.children.length;
    if (!all && before === SHOWN - 1 && siblings > SHOWN) {
      hidden = row.depth;
      yield `${rail(row)}└── … ${siblings - before} more, all with -v`;
      continue;
    }
    yield rowText(forest, row, paint);
  }
}

function rail({ rails }: TreeRow): string {
  return rails.map((goesOn) => (goesOn ? '│   ' : '    ')).join('');
}

function rowText(forest: Forest, row: TreeRow, paint: Paint): string {
  const { disk, depth, last } = row;
  const branch = depth === 0 ? '' : last ? '└── ' : '├── ';
  const deep = depth > MOST_RAILS ? `(link ${depth + 1}) ` : '';
  const users = usersOf(forest, disk).map(showText);
  const facts = [
    disk.createType,
    sizeText(disk.capacity * SECTOR_BYTES),
    `${sizeText(disk.occupied)} on disk`,
    ...(disk.children.length === 0
      ? []
      : [
          disk.children.length === 1 ? '1 child' : `${grouped(disk.children.length)} children`,
          `${sizeText(disk.freeable)} with all above`,
        ]),
  ].join(', ');
  const marks = [
    ...(disk.outside ? [paint('dim', '(outside)')] : []),
    ...(users.length === 0 ? [] : [paint('green', `[${users.join(', ')}]`)]),
    ...(disk.fits === false ? [paint('red', 'CID DOES NOT FIT')] : []),
    ...(disk.foundBy === 'cid' ? [paint('yellow', 'found by CID')] : []),
    ...(disk.delta && disk.parent === undefined ? [paint('red', 'PARENT MISSING')] : []),
  ];
  const name = paint('bold', shown(forest, disk.path));
  return [`${rail(row)}${branch}${deep}${name}  ${facts}`, ...marks].join('  ');
}

function machineLines(forest: Forest, all: boolean): string[] {
  if (forest.machines.length === 0) return [];
  const machines = all ? forest.machines : forest.machines.slice(0, SHOWN_LINES - 2);
  const heads = ['NAME', 'KIND', 'DISKS', 'SNAPSHOTS', 'STANDS ON', 'FILE'].map((head) => ({ head }));
  const lines = inColumns(
    heads,
    machines.map((machine) => [
      showText(machine.name),
      kindOf(machine),
      String(machine.disks.length),
      machine.snapshots
        .map(({ name, current }) => `${showText(name)}${current ? '*' : ''}`)
        .slice(0, 4)
        .join(', '),
      (all ? machine.sharedDisks : nearestShared(forest, machine))
        .map((path) => shown(forest, path))
        .join(', '),
      shown(forest, machine.path),
    ]),
  );
  const rest = forest.machines.length - machines.length;
  return rest === 0 ? lines : [...lines, `… ${rest} more, all with -v`];
}

/** Of each of its disks the first one below that is not its own; what is further down is in the tree. */
function nearestShared({ byPath }: Forest, { disks, sharedDisks }: ForestMachine): string[] {
  const nearest = new Set<string>();
  for (const { path } of disks) {
    let at = path;
    while (at !== undefined && !sharedDisks.includes(at)) at = byPath.get(at)?.parent;
    if (at !== undefined) nearest.add(at);
  }
  return [...nearest];
}

function kindOf({ linkedClone, template }: ForestMachine): string {
  if (template) return 'template';
  return linkedClone ? 'linked clone' : 'machine';
}

function orphanLines(forest: Forest): string[] {
  return forest.orphans.map(({ kind, path, freeable, message }) => {
    return `${kind} ${shown(forest, path)} (${sizeText(freeable)}): ${showText(message)}`;
  });
}

function longLines(forest: Forest, paint: Paint): string[] {
  return forest.longChains.map(({ path, links, severity, advice }) => {
    const count = paint(severity === 'error' ? 'red' : 'yellow', `${links} links`);
    return `${shown(forest, path)}: ${count}; ${advice}`;
  });
}

function hintLines(forest: Forest): string[] {
  return forest.brokenHints.map(({ path, hint, candidates }) => {
    const found =
      candidates.length === 0
        ? 'no disk here has the CID and the size of its parent'
        : candidates
            .slice(0, 3)
            .map((candidate) => `"${showText(candidate.hint)}"`)
            .join(' or ') + ' would mend it';
    return `${shown(forest, path)}: "${showText(hint)}"; ${found}`;
  });
}

function changedLines(forest: Forest, paint: Paint): string[] {
  return forest.changedBases.map(({ path, cid, children, candidates }) => {
    const wanted = [...new Set(children.map(({ expected }) => printCid(expected)))].slice(0, 3).join(', ');
    const has = cid === undefined ? 'no CID' : `CID ${printCid(cid)}`;
    const who = children
      .slice(0, 3)
      .map((child) => shown(forest, child.path))
      .join(', ');
    const more = children.length > 3 ? ` and ${children.length - 3} more` : '';
    const copies =
      candidates.length === 0
        ? ''
        : `; as it was: ${candidates.map((copy) => shown(forest, copy)).join(', ')}`;
    const booted = 'it was written to, perhaps booted by mistake';
    return `${paint('red', shown(forest, path))} has ${has}; ${who}${more} ${children.length === 1 ? 'expects' : 'expect'} ${wanted}: ${booted}${copies}`;
  });
}

function cut(lines: readonly string[], all: boolean): readonly string[] {
  if (all || lines.length <= SHOWN_LINES) return lines;
  const rest = lines.length - SHOWN_LINES + 1;
  return [...lines.slice(0, SHOWN_LINES - 1), `… ${rest} more, all with -v`];
}

function shown(forest: Forest, path: string): string {
  return showText(nameInForest(forest, path));
}

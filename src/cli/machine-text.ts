// A machine's description for people: what it is, its disks by place, its snapshots as a tree, whom it shares disks
// with, what limits that has, and what is wrong.
import { basename, dirname, relative } from 'node:path';
import { showText } from '../format/plain-text.ts';
import type { MachineDiskReport, MachineReport, MachineSnapshotReport } from '../machine/describe-machine.ts';
import type { Trouble } from '../operations/describe-disk.ts';
import type { LockFinding } from '../storage/lock-state.ts';
import { inColumns, pairs } from './columns.ts';
import { findingLines, wayOutLines } from './describe-text.ts';
import { legible } from './legible.ts';
import { limitLines } from './limit-text.ts';
import { exactSizeText, plural, sizeText } from './numbers.ts';
import type { Paint } from './output.ts';
import { shownPath } from './shown-path.ts';

export interface MachineTextOptions {
  readonly paint: Paint;
  /** Every limit, also those that this machine does not meet. */
  readonly verbose: boolean;
}

/** Lines for the clones of one snapshot; more are counted. */
const MOST_CLONES = 10;

export function machineText(report: MachineReport, options: MachineTextOptions): string[] {
  const { paint } = options;
  return [
    `${paint('bold', shownPath(report.filename))}: ${showText(report.name)}`,
    ...factLines(report, paint),
    ...diskLines(report, paint),
    ...snapshotLines(report, options),
    ...sharingLines(report),
    ...lockLines(report.locks),
    ...limitLines(report.limits, options.verbose, paint),
    // Each is told beside its disk or snapshot.
    ...findingLines(
      report.findings.filter(({ code }) => code !== 'MACHINE-DISK' && code !== 'MACHINE-SNAPSHOT-DISK'),
      paint,
      report.filename,
    ),
  ].map((line, index) => (index === 0 ? line : `  ${line}`.trimEnd()));
}

function factLines(report: MachineReport, paint: Paint): string[] {
  const { power, files } = report;
  const colour = { off: 'green', suspended: 'yellow', unclean: 'yellow', running: 'red' } as const;
  const state = power.state === 'unclean' ? 'off, yet not shut down cleanly' : power.state;
  const guest = [
    report['guest-os'] === undefined ? '' : showText(report['guest-os']),
    report['hardware-version'] === undefined ? '' : `hardware version ${report['hardware-version']}`,
    report.firmware === undefined ? '' : showText(report.firmware),
  ];
  const drives = report.removable.map(({ name, kind, file }) => `${name} ${kind} "${showText(file)}"`);
  return pairs([
    ['power', paint(colour[power.state], state)],
    ...power.reasons.map((reason): [string, string] => ['', legible(reason)]),
    ['guest', guest.filter((part) => part !== '').join(', ') || undefined],
    ['uuid', report['uuid-bios'] === undefined ? undefined : showText(report['uuid-bios'])],
    ['encrypted', report.encrypted ? paint('yellow', 'yes: it can be looked at, not cloned') : undefined],
    ['TPM', report['virtual-tpm'] ? paint('yellow', 'a virtual TPM') : undefined],
    ['networks', report.networks.map(networkText).join('; ') || undefined],
    ['drives', drives.join('; ') || undefined],
    ['on disk', onDiskText(report)],
    [
      'snapshots in',
      files['working-folder'] === dirname(report.filename) ? undefined : shownPath(files['working-folder']),
    ],
    ['notes', report.annotation === undefined ? undefined : showText(report.annotation)],
  ]);
}

/** What a linked clone takes is little; the rest is there once for all that share it. */
function onDiskText({ disks, 'actual-size': all, 'linked-clone': { bases } }: MachineReport): string {
  if (bases.length === 0) return exactSizeText(all);
  const links = new Map(
    disks.flatMap(({ chain }) => chain.map((link) => [link.filename, link['actual-size']])),
  );
  for (const base of bases) links.delete(base);
  const own = [...links.values()].reduce((sum, size) => sum + size, 0);
  return `${exactSizeText(own)} of its own, ${sizeText(all - own)} shared`;
}

function networkText({
  name,
  address,
  'address-type': type,
  network,
}: MachineReport['networks'][number]): string {
  const how = type === undefined ? '' : ` (${showText(type)})`;
  return `${name} ${address === undefined ? 'no address' : showText(address)}${how}${network === undefined ? '' : ` in "${showText(network)}"`}`;
}

function diskLines({ disks, filename }: MachineReport, paint: Paint): string[] {
  if (disks.length === 0) return ['no disks'];
  const folder = dirname(filename);
  const rows = disks.map((disk) => diskRow(disk, folder));
  const table = inColumns(
    [
      { head: 'PLACE' },
      { head: 'CONTROLLER' },
      { head: 'MODE' },
      { head: 'SIZE', align: 'right' },
      { head: 'ON DISK', align: 'right' },
      { head: 'LINKS', align: 'right' },
      { head: 'FILE' },
    ],
    rows,
  ).map((line) => `  ${line}`);
  const chains = disks.flatMap((disk) => [
    ...(disk.chain.length < 2 ? [] : [`  ${disk.node}: ${chainText(disk, folder)}`]),
    ...(disk.problem === undefined ? [] : troubleLines(disk.node, disk.problem, paint)),
  ]);
  return [plural(disks.length, 'disk'), ...table, ...chains];
}

function diskRow(disk: MachineDiskReport, folder: string): string[] {
  const size = disk['virtual-size'];
  const mode = disk.sharing === undefined ? disk.mode : `${disk.mode}, ${disk.sharing}`;
  const file = disk.filename === undefined ? disk.file : fromFolder(disk.filename, folder);
  return [
    disk.node,
    showText(disk['controller-type'] ?? ''),
    showText(mode),
    size === undefined ? '?' : sizeText(size),
    disk.chain.length === 0 ? '?' : sizeText(disk['actual-size']),
    String(disk.chain.length),
    `${showText(file)}${disk.guessed === true ? ' (by its name)' : ''}`,
  ];
}

/** Leaf first: each stands on the next. */
function chainText({ chain }: MachineDiskReport, folder: string): string {
  return chain
    .map(({ filename, 'create-type': type }) => `${showText(fromFolder(filename, folder))} (${type})`)
    .join(' on ');
}

function snapshotLines({ snapshots, ...report }: MachineReport, options: MachineTextOptions): string[] {
  if (snapshots.length === 0) return ['no snapshots'];
  const shown = new Set<MachineSnapshotReport>();
  const lines: string[] = [plural(snapshots.length, 'snapshot')];
  const uids = new Set(snapshots.map(({ uid }) => uid));
  const walk = (snapshot: MachineSnapshotReport, lead: string, branch: string): void => {
    if (shown.has(snapshot)) return;
    shown.add(snapshot);
    const children = snapshots.filter(({ parent, uid }) => parent === snapshot.uid && uid !== snapshot.uid);
    const below = lead + (branch === '├─ ' ? '│  ' : branch === '└─ ' ? '   ' : '');
    lines.push(`  ${lead}${branch}${snapshotText(snapshot, options.paint)}`);
    const bar = children.length === 0 ? '   ' : '│  ';
    for (const line of detailLines(snapshot, options)) lines.push(`  ${below}${bar}${line}`);
    for (const [index, child] of children.entries()) {
      walk(child, below, index === children.length - 1 ? '└─ ' : '├─ ');
    }
  };
  for (const snapshot of snapshots) {
    if (snapshot.parent === undefined || !uids.has(snapshot.parent)) walk(snapshot, '', '');
  }
  // What is its own ancestor hangs on no root.
  for (const snapshot of snapshots) walk(snapshot, '', '');
  const current = report['current-snapshot'];
  if (current === undefined) lines.push('  the machine stands on none of them');
  return lines;
}

function snapshotText(snapshot: MachineSnapshotReport, paint: Paint): string {
  const { uid, name, created, memory, current } = snapshot;
  const when = created === undefined ? 'no time' : `${created.slice(0, 19).replace('T', ' ')} UTC`;
  const marks = [
    memory ? ', with memory' : '',
    current ? `  ${paint('green', '<- the machine is here')}` : '',
  ];
  return `${uid}  ${showText(name)}  ${when}${marks.join('')}`;
}

function detailLines(
  { description, clones, disks }: MachineSnapshotReport,
  { paint, verbose }: MachineTextOptions,
): string[] {
  const told = verbose || clones.length <= MOST_CLONES ? clones : clones.slice(0, MOST_CLONES - 1);
  const missing = disks.filter(({ problem }) => problem !== undefined);
  return [
    ...(description === '' ? [] : description.split('\n').map((line) => `"${showText(line)}"`)),
    ...told.map((vmx) => `linked clone: ${showText(vmx)}`),
    ...(told.length === clones.length
      ? []
      : [`and ${plural(clones.length - told.length, 'more linked clone')}, all with -v`]),
    ...missing.map(
      ({ node, problem }) =>
        `${paint('red', `its disk${node === '' ? '' : ` ${node}`} cannot be read:`)} ${legible(problem!.message)}`,
    ),
  ];
}

function sharingLines(report: MachineReport): string[] {
  const { is, of, bases, sentinels } = report['linked-clone'];
  if (!is) return [];
  const folder = dirname(report.filename);
  return [
    of.length === 0 ? 'a linked clone, by its disks' : `a linked clone of ${of.map(showText).join(', ')}`,
    ...bases.map((path) => `  stands on ${showText(fromFolder(path, folder))}`),
    ...(sentinels.length === 0
      ? []
      : [`  VMware leaves what is below ${sentinels.map(showText).join(', ')} when it deletes this machine`]),
  ];
}

function lockLines(locks: readonly LockFinding[]): string[] {
  return locks.map(({ path, mode, state, holder, detail }) => {
    const who = holder === '' ? '' : ` by ${legible(holder)}`;
    return `${mode} lock, ${state}: ${shownPath(path)}${who} (${legible(detail)})`;
  });
}

function troubleLines(what: string, trouble: Trouble, paint: Paint): string[] {
  return [
    `  ${paint('red', `${what} cannot be read:`)} ${legible(trouble.message)}`,
    ...wayOutLines(trouble).map((line) => `    ${line}`),
  ];
}

/** Files are named from the machine's folder, as its .vmx does; far ones whole. */
function fromFolder(path: string, folder: string): string {
  if (dirname(path) === folder) return basename(path);
  const short = relative(folder, path);
  return short.startsWith('../../') ? path : short;
}

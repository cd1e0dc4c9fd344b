// What people read of clones of a machine: the plan in a page, and one line when it is done.
import { showText } from '../format/plain-text.ts';
import {
  forksOf,
  type MachineClonePlan,
  type MachineCloneResult,
  type PlannedMachine,
} from '../machine/machine-clone-types.ts';
import { inColumns } from './columns.ts';
import { limitLines } from './limit-text.ts';
import { plural, sizeText } from './numbers.ts';
import { shownPath } from './shown-path.ts';

/** Longer lists are cut in the middle, unless all is asked for. */
const SHOWN = 12;

export function machinePlanText(plan: MachineClonePlan, all: boolean): string[] {
  return [
    ...cloneTable(plan, all),
    ...drawnLines(plan),
    '',
    ...diskTable(plan),
    '',
    ...sourceLines(plan),
    ...totalLines(plan),
    ...limitLines(plan.limits, all, (_, words) => words),
  ];
}

/** `8 machines in lab: 72 files, 1.2 MiB; 18 GiB saved against full copies` */
export function machineSummaryText(plan: MachineClonePlan, results: readonly MachineCloneResult[]): string {
  const made = results.filter(({ status }) => status === 'created');
  const recovered = made.filter((result) => result.recovered === true).length;
  const failed = results.length - made.length;
  const files = made.reduce((sum, { files: own = [] }) => sum + own.length, 0);
  const needed = made.reduce((sum, { 'bytes-needed': own = 0 }) => sum + own, 0);
  const each = plan.disks.reduce((sum, disk) => sum + disk['occupied-size'], 0);
  const forks = forksOf(plan);
  const extra = [
    ...(plan.kind === 'full'
      ? []
      : [`${sizeText(Math.max(0, made.length * each - needed))} saved against full copies`]),
    ...(forks.length === 0 ? [] : [`the source goes on in ${plural(forks.length, 'new delta')}`]),
    ...(recovered === 0 ? [] : [`${recovered} of them by the interrupted run before`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ];
  const head = `${plural(made.length, 'machine')} in ${shownPath(plan.into)}: ${plural(files, 'file')}, ${sizeText(needed)}`;
  return [head, ...extra].join('; ');
}

function cloneTable({ clones }: MachineClonePlan, all: boolean): string[] {
  const cards = clones[0]!.macs.map(({ card }) => card.toUpperCase());
  const heads = [
    { head: 'CLONE' },
    { head: 'UUID' },
    ...cards.map((head) => ({ head })),
    { head: 'NEEDS', align: 'right' as const },
  ];
  const rows = clones.map((clone) => [
    shownPath(clone.vmx),
    compactUuid(clone.uuid),
    ...clone.macs.map(({ address }) => address),
    statusText(clone),
  ]);
  const shown = all || rows.length <= SHOWN ? rows : [...rows.slice(0, SHOWN - 3), ...rows.slice(-2)];
  const lines = inColumns(heads, shown);
  if (shown.length < rows.length) lines.splice(-2, 0, `… ${rows.length - shown.length} more, all with -v`);
  return lines;
}

/** Who puts the addresses of a plan into a DHCP server must not find others on the machines. */
function drawnLines({ clones }: MachineClonePlan): string[] {
  if (clones.every(({ input }) => input?.['uuid'] !== undefined)) return [];
  return [
    'UUIDs and generated addresses are drawn anew when the clones are made. To keep these, save the plan with',
    '--output ndjson > PLAN, then make the clones of it: the same command with - < PLAN in place of their names.',
  ];
}

function diskTable({ disks, clones, dropped }: MachineClonePlan): string[] {
  const own = clones[0]!.disks;
  const rows = disks.map((disk, index) => {
    const { kind, type, hint = '' } = own[index]!;
    const below = `${sizeText(disk['virtual-size'])}, ${sizeText(disk['occupied-size'])} occupied, ${plural(disk.links, 'link')}`;
    return [
      disk.node,
      `${kind === 'linked' ? 'delta' : 'copy'}, ${type}`,
      kind === 'linked' ? showText(hint) : shownPath(disk.path),
      below,
    ];
  });
  const heads = [{ head: 'DISK' }, { head: 'CLONES GET' }, { head: 'OF' }, { head: 'WHICH IS' }];
  return [
    ...inColumns(heads, rows),
    ...dropped.map(({ node, reason }) => `${node} is left out: ${showText(reason)}`),
  ];
}

function sourceLines(plan: MachineClonePlan): string[] {
  const { source, point } = plan;
  const from =
    point.kind === 'snapshot'
      ? `at its snapshot ${point.uid} "${showText(point.name)}"`
      : 'at its running point';
  const lines = [`source: ${shownPath(source)}, ${from}`];
  for (const { node, path, base } of forksOf(plan)) {
    lines.push(`frozen: ${node} goes on in ${shownPath(path)}, ${shownPath(base)} stays as it is`);
  }
  return lines;
}

function totalLines({ totals }: MachineClonePlan): string[] {
  return [
    `${plural(totals.clones, 'machine')}: ${plural(totals.files, 'file')}, ${sizeText(totals['bytes-needed'])} needed`,
    `saved: ${sizeText(totals['saved-against-thin'])} against copies of what the disks occupy, ${sizeText(totals['saved-against-thick'])} against copies of full size`,
  ];
}

function statusText({ status, error, 'bytes-needed': needed }: PlannedMachine): string {
  if (status === 'present') return 'made already';
  if (status === 'refused') return error?.code === 'target-exists' ? 'refused: exists' : 'refused';
  return sizeText(needed);
}

/** Short enough for a table; the .vmx has it in VMware's own grouping. */
function compactUuid(uuid: string): string {
  return uuid
    .replaceAll(' ', '')
    .replace('-', '')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// What people read of clones: the plan in a few lines, and one line when it is done.
import type { ClonePlan, CloneResult, PlannedClone } from '../operations/clone-types.ts';
import { inColumns } from './columns.ts';
import { plural, sizeText } from './numbers.ts';
import { shownPath } from './shown-path.ts';

/** Longer lists are cut in the middle, unless all is asked for. */
const SHOWN = 12;

export function planText(plan: ClonePlan, all: boolean): string[] {
  const { totals, clones } = plan;
  const rows = clones.flatMap((clone) => rowsOf(plan, clone));
  const heads = [
    { head: 'CLONE' },
    { head: 'TYPE' },
    { head: 'BASE, AS THE CLONE NAMES IT' },
    { head: 'NEEDS', align: 'right' as const },
  ];
  const shown = all || rows.length <= SHOWN ? rows : [...rows.slice(0, SHOWN - 3), ...rows.slice(-2)];
  const lines = inColumns(heads, shown);
  if (shown.length < rows.length) {
    lines.splice(-2, 0, `… ${rows.length - shown.length} more, all with -v`);
  }
  const what = `${plural(totals.clones, 'clone')} of ${plan.bases.map(baseText).join(' and ')}`;
  return [
    ...lines,
    '',
    `${what}: ${plural(totals.files, 'file')}, ${sizeText(totals['bytes-needed'])} needed`,
    `saved: ${sizeText(totals['saved-against-thin'])} against copies of what the bases occupy, ${sizeText(totals['saved-against-thick'])} against copies of full size`,
  ];
}

/** `8 clones in clones: 8 files, 96 KiB; 18 GiB saved against full copies` */
export function summaryText(plan: ClonePlan, results: readonly CloneResult[]): string {
  const made = results.filter(({ status }) => status === 'created');
  const recovered = made.filter((result) => result.recovered === true).length;
  const failed = results.length - made.length;
  const each = plan.clones[0]!['bytes-needed'];
  const thin = plan.bases.reduce((sum, base) => sum + base['occupied-size'], 0);
  const saved = Math.max(0, made.length * (thin - each));
  const files = made.flatMap(
    ({ disks, files: own = [] }) => disks?.flatMap((disk) => disk.files) ?? own,
  ).length;
  const extra = [
    ...(recovered === 0 ? [] : [`${recovered} of them by the interrupted run before`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ];
  return `${plural(made.length, 'clone')} in ${shownPath(plan.into)}: ${plural(files, 'file')}, ${sizeText(made.length * each)}; ${sizeText(saved)} saved against full copies${extra.map((text) => `; ${text}`).join('')}`;
}

/** A row for each disk; what a clone has in common stands in its first. */
function rowsOf(plan: ClonePlan, clone: PlannedClone): string[][] {
  const needs = clone.status === 'planned' ? sizeText(clone['bytes-needed']) : statusText(clone);
  return clone.disks.map((disk, index) => [
    shownPath(disk.path),
    disk.type,
    disk.hint,
    index === 0 ? needs : '',
  ]);
}

function statusText({ status, error }: PlannedClone): string {
  if (status === 'present') return 'made already';
  return error?.code === 'target-exists' ? 'refused: exists' : 'refused';
}

function baseText(base: ClonePlan['bases'][number]): string {
  return `${shownPath(base.path)} (${sizeText(base['virtual-size'])}, ${sizeText(base['occupied-size'])} occupied)`;
}

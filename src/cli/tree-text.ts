// What people read of a change of a tree of disks: the plan line by line, and one line when it is done.
import { showText } from '../format/plain-text.ts';
import type { TreeReport } from '../machine/tree-types.ts';
import { plural, sizeText } from './numbers.ts';
import { shownPath } from './shown-path.ts';

export function planText(report: TreeReport): string[] {
  const { written, moved, created, changed, removed } = report;
  return [
    ...written.map(
      ({ path, bytes, 'create-type': type }) =>
        `write ${shownPath(path)} (${type}): ${bytes === 0 ? 'no data' : `at most ${sizeText(bytes)} of data`}`,
    ),
    ...moved.map(
      ({ path, parent, hint }) =>
        `${shownPath(path)} stands on ${shownPath(parent)}, by the name ${showText(hint)}`,
    ),
    ...keptLines(report),
    ...created.map((path) => `create ${shownPath(path)}`),
    ...changed.map((path) => `change ${shownPath(path)}`),
    ...removed.map((path) => `remove ${shownPath(path)}`),
    isIdle(report)
      ? 'nothing is to be done'
      : `${sizeText(report['bytes-needed'])} needed at most, ${freedText(report['bytes-freed'])}`,
  ];
}

export function keptLines({ kept, 'dry-run': dryRun }: TreeReport): string[] {
  return kept.map(
    ({ path, reason }) => `${dryRun ? 'keep' : 'kept'} ${shownPath(path)}: ${showText(reason)}`,
  );
}

/** `web-01.vmdk: consolidated: 1 disk written, 3 files removed, 1.2 GiB freed` */
export function summaryText(report: TreeReport): string {
  const { action, disk, written, moved, removed } = report;
  if (isIdle(report)) return `${shownPath(disk)}: nothing was to be done`;
  const parts = [
    ...(written.length === 0 ? [] : [`${plural(written.length, 'disk')} written`]),
    ...(moved.length === 0 ? [] : [`${plural(moved.length, 'disk')} relinked`]),
    ...(removed.length === 0 ? [] : [`${plural(removed.length, 'file')} removed`]),
    freedText(report['bytes-freed']),
  ];
  return `${shownPath(disk)}: ${DONE[action]}: ${parts.join(', ')}`;
}

const DONE: Readonly<Record<TreeReport['action'], string>> = {
  commit: 'committed',
  rebase: 'rebased',
  consolidate: 'consolidated',
  promote: 'promoted',
  shadow: 'shadowed',
};

function isIdle({ written, created, changed, removed }: TreeReport): boolean {
  return written.length + created.length + changed.length + removed.length === 0;
}

function freedText(bytes: number): string {
  if (bytes === 0) return 'no more space used';
  return bytes < 0 ? `at most ${sizeText(-bytes)} more used` : `at least ${sizeText(bytes)} freed`;
}

// What people read of a removal: every file that goes and every one that stays, and one line when it is done.
import { showText } from '../format/plain-text.ts';
import type { RemoveReport } from '../machine/remove-types.ts';
import { plural, sizeText } from './numbers.ts';
import { shownPath } from './shown-path.ts';

export function planText(report: RemoveReport): string[] {
  const { files, folders, kept, forgotten } = report;
  return [
    ...files.map((path) => `remove ${shownPath(path)}`),
    ...folders.map((path) => `remove ${shownPath(path)}/`),
    ...forgotten.map(
      ({ path, snapshot, clone }) =>
        `change ${shownPath(path)}: snapshot ${snapshot} forgets the clone ${showText(clone)}`,
    ),
    ...keptText(kept),
    `${sizeText(report['bytes-freed'])} freed`,
  ];
}

export function keptText(kept: RemoveReport['kept']): string[] {
  return kept.map(({ path, reason }) => `keep ${shownPath(path)}: ${showText(reason)}`);
}

/** `removed 2 machines with 6 disks: 14 files, 1.5 MiB freed` */
export function summaryText({ machines, disks, files, 'bytes-freed': bytes }: RemoveReport): string {
  if (files.length === 0) return 'nothing was left to remove';
  const what =
    machines.length === 0
      ? plural(disks.length, 'disk')
      : `${plural(machines.length, 'machine')} with ${plural(disks.length, 'disk')}`;
  return `removed ${what}: ${plural(files.length, 'file')}, ${sizeText(bytes)} freed`;
}

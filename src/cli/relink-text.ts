// What people read of a relinking: each hint as it was and as it will be, and one line when it is done.
import { showText } from '../format/plain-text.ts';
import type { RelinkProblem, RelinkReport } from '../machine/relink-types.ts';
import { plural } from './numbers.ts';
import { shownPath } from './shown-path.ts';

export function planText({ disks, names }: RelinkReport): string[] {
  return [
    ...disks.map(({ path, from, to }) => {
      return `${shownPath(path)}: ${from === '' ? 'no hint' : showText(from)} → ${showText(to)}`;
    }),
    ...names.map(
      ({ path, key, from, to }) => `${shownPath(path)}: ${key} ${showText(from)} → ${showText(to)}`,
    ),
  ];
}

/** `relinked 8 disks and 3 paths of snapshot databases; 2 disks are right as they were` */
export function summaryText({ disks, names, unchanged, problems, 'dry-run': dryRun }: RelinkReport): string {
  const paths = names.length === 0 ? '' : ` and ${plural(names.length, 'path')} of snapshot databases`;
  const right =
    unchanged === 0 ? '' : `; ${plural(unchanged, 'disk')} stay${unchanged === 1 ? 's' : ''} as before`;
  const left = problems.length === 0 ? '' : `; ${plural(problems.length, 'disk')} could not be`;
  return `${dryRun ? 'to relink:' : 'relinked'} ${plural(disks.length, 'disk')}${paths}${right}${left}`;
}

export function problemText({ path, message, candidates, hint }: RelinkProblem): string {
  const which = candidates.map((candidate) => `\n  ${shownPath(candidate)}`).join('');
  return `${shownPath(path)}: ${message}${which}${hint === undefined ? '' : `\n  ${hint}`}`;
}

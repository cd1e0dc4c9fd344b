// Text in columns for people, without borders. Loads cli-table3, which knows how wide characters are.
import Table from 'cli-table3';

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
}

const NO_BORDERS = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
    .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'])
    .map((name) => [name, '']),
);

/** Lines, the heads first; no blanks at the end of a line. */
export function inColumns(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const table = new Table({
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': 2, head: [], border: [] },
    colAligns: columns.map(({ align = 'left' }) => align),
  });
  const heads = columns.map(({ head }) => head);
  table.push(...(heads.every((head) => head === '') ? [] : [heads]), ...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

/** `name  value` lines; rows without a value are left out. */
export function pairs(rows: readonly (readonly [string, string | undefined])[]): string[] {
  const said = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  const width = Math.max(0, ...said.map(([name]) => name.length));
  return said.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

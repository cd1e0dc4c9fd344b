// Names of clones as a table: CSV with a head, as spreadsheets export it. Rule: a text that is no such table is left
// to the reader of lines.
// Source: RFC 4180; separators as spreadsheets of different countries write them.
import { usageError } from '../core/errors.ts';
import type { CloneName } from '../operations/clone-names.ts';

interface TableRow {
  readonly cells: readonly string[];
  /** Counted from 1. */
  readonly line: number;
}

/** The rows as objects, empty cells left out; undefined when the first line names no column "name". */
export function parseNameTable(text: string): CloneName[] | undefined {
  const first = text.trimStart().split('\n', 1)[0]!.trim();
  const separator = [',', ';', '\t'].find((mark) => namesColumn(first.split(mark)));
  if (separator === undefined) return undefined;
  const [head, ...rows] = parseRows(text, separator);
  const columns = head!.cells.map((cell) => (cell.trim().toLowerCase() === 'name' ? 'name' : cell.trim()));
  const twice = columns.find((column, index) => columns.indexOf(column) !== index);
  if (twice !== undefined) throw usageError(`stdin: the table has two columns "${twice}"`);
  return rows.map((row) => rowObject(row, columns));
}

function namesColumn(cells: readonly string[]): boolean {
  return cells.length > 1 && cells.some((cell) => /^"?name"?$/i.test(cell.trim()));
}

function rowObject({ cells, line }: TableRow, columns: readonly string[]): CloneName {
  if (cells.length > columns.length) {
    throw usageError(`stdin, line ${line}: ${cells.length} cells below a head of ${columns.length}`);
  }
  const filled = columns.flatMap((column, index) => {
    const value = cells[index]?.trim() ?? '';
    return value === '' || column === '' ? [] : [[column, value] as const];
  });
  const row: Record<string, string> = Object.fromEntries(filled);
  if (row['name'] === undefined) throw usageError(`stdin, line ${line}: the row has no name`);
  return { ...row, name: row['name'] };
}

/** Rows that hold something. A cell in quotes may hold anything, quotes doubled. */
function parseRows(text: string, separator: string): TableRow[] {
  const rows: TableRow[] = [];
  let [cells, cell, line, start]: [string[], string, number, number] = [[], '', 1, 1];
  let quoted = false;
  const endRow = (): void => {
    cells.push(cell);
    if (cells.some((each) => each.trim() !== '')) rows.push({ cells, line: start });
    [cells, cell] = [[], ''];
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === '\n') line++;
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') cell += text[++at]!;
      else quoted = false;
    } else if (character === '"' && cell.trim() === '') [quoted, cell] = [true, ''];
    else if (character === separator) {
      cells.push(cell);
      cell = '';
    } else if (character === '\n') {
      endRow();
      start = line;
    } else cell += character;
  }
  if (quoted) throw usageError(`stdin, line ${start}: a quote is opened and not closed`);
  endRow();
  return rows;
}

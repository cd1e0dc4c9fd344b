// A forest as a drawing that any browser shows: one row for each disk, below its parent, with who uses it. Rule: no
// script, no link, nothing fetched; names are strangers' words, and only ever text.
import { SECTOR_BYTES } from '../core/units.ts';
import { showText } from '../format/plain-text.ts';
import { xmlText } from '../format/xml-text.ts';
import type { Forest } from './forest.ts';
import { gravestOf, MOST_RAILS, nameInForest, treeRows, usersOf, type TreeRow } from './forest-tree.ts';

const ROW = 26;
const INDENT = 22;
const MARGIN = 14;
const LETTER = 7.3;
const STYLE = [
  'text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#0f172a}',
  '.facts{fill:#475569}',
  '.user{fill:#166534}',
  'rect{rx:4;stroke:#475569;fill:#f1f5f9}',
  '.base{fill:#dbeafe}',
  '.warning{stroke:#b45309;stroke-width:2}',
  '.error{stroke:#b91c1c;stroke-width:2}',
  'path{fill:none;stroke:#94a3b8}',
  '.cid{stroke-dasharray:4 3}',
  '.misfit{stroke:#b91c1c;stroke-width:2}',
].join('');

/** `sizeText` says a number of bytes for people. */
export function forestAsSvg(forest: Forest, sizeText: (bytes: number) => string): string {
  const rows = treeRows(forest);
  const drawn = rows.map((row, index) => drawRow(forest, rows, row, index, sizeText));
  const width = Math.ceil(drawn.reduce((most, row) => Math.max(most, row.width), 320) + MARGIN);
  const height = MARGIN * 2 + Math.max(1, rows.length) * ROW;
  const title = `${forest.disks.length} disks and ${forest.machines.length} machines below ${forest.roots.join(', ')}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${xmlText(title)}</title>`,
    `<style>${STYLE}</style>`,
    '<rect width="100%" height="100%" style="fill:#ffffff;stroke:none"/>',
    ...drawn.map(({ line }) => line).filter((line) => line !== ''),
    ...drawn.map(({ text }) => text),
    '</svg>',
    '',
  ].join('\n');
}

function drawRow(
  forest: Forest,
  rows: readonly TreeRow[],
  row: TreeRow,
  index: number,
  sizeText: (bytes: number) => string,
): { line: string; text: string; width: number } {
  const { disk } = row;
  const [x, y] = [leftOf(row), MARGIN + index * ROW];
  const name = showText(nameInForest(forest, disk.path));
  const boxWidth = lettersOf(name) * LETTER + 12;
  const facts = `${disk.createType}, ${sizeText(disk.capacity * SECTOR_BYTES)}, ${sizeText(disk.occupied)} on disk`;
  const users = usersOf(forest, disk).map(showText).join(', ');
  const factsAt = x + boxWidth + 10;
  const usersAt = factsAt + lettersOf(facts) * LETTER + 10;
  const classes = [disk.delta ? 'delta' : 'base', gravestOf(disk) ?? ''].join(' ').trim();
  const why = disk.problems.map(({ code, message }) => `${code}: ${message}`).join('\n');
  return {
    line: row.parentRow === undefined ? '' : lineTo(rows[row.parentRow]!, row, row.parentRow, index),
    text: [
      `<g>${why === '' ? '' : `<title>${xmlText(why)}</title>`}`,
      `<rect class="${classes}" x="${x}" y="${y + 2}" width="${boxWidth.toFixed(1)}" height="${ROW - 6}"/>`,
      `<text x="${x + 6}" y="${y + 16}">${xmlText(name)}</text>`,
      `<text class="facts" x="${factsAt.toFixed(1)}" y="${y + 16}">${xmlText(facts)}</text>`,
      users === ''
        ? ''
        : `<text class="user" x="${usersAt.toFixed(1)}" y="${y + 16}">${xmlText(users)}</text>`,
      '</g>',
    ].join(''),
    width: usersAt + lettersOf(users) * LETTER,
  };
}

function leftOf({ depth }: TreeRow): number {
  return MARGIN + Math.min(depth, MOST_RAILS) * INDENT;
}

/** From the lower edge of the parent down to the row, then right. */
function lineTo(parent: TreeRow, row: TreeRow, parentIndex: number, index: number): string {
  const x = Math.min(leftOf(parent), leftOf(row) - INDENT) + 8;
  const from = MARGIN + parentIndex * ROW + ROW - 4;
  const to = MARGIN + index * ROW + ROW / 2 - 1;
  const { fits, foundBy } = row.disk;
  const kind = fits === false ? ' class="misfit"' : foundBy === 'cid' ? ' class="cid"' : '';
  return `<path${kind} d="M${x} ${from}V${to}H${leftOf(row)}"/>`;
}

/** Columns of a monospaced font: the characters of East Asia take two. */
function lettersOf(text: string): number {
  let letters = 0;
  for (const character of text) letters += character.codePointAt(0)! >= 0x1100 ? 2 : 1;
  return letters;
}

// The drawings of a report as SVG: the chain, and the map of what is where. Rule: what colour says
// is said in numbers as well, beside a box or in the table below. Colours are Okabe and Ito's, which colour-blind people
// tell apart.
import { xmlText } from '../format/xml-text.ts';
import type { Allocation, ReportDisk } from './report-facts.ts';
import { basename } from 'node:path';

/** Classes `l0` to `l6` of the page; deeper chains begin again, the numbers do not. */
export const LINK_COLOURS = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
  '#f0e442',
] as const;

const WIDTH = 720;
const BOX = 52;
const GAP = 30;
const COLUMNS = 64;

export function linkClass(depth: number): string {
  return `l${depth % LINK_COLOURS.length}`;
}

/** Boxes from the leaf down to the base, with what ties each to the next. */
export function drawChain({ chain }: ReportDisk, sizeText: (bytes: number) => string): string {
  const rows = chain.links.map((link, depth) => {
    const y = 4 + depth * (BOX + GAP);
    const role = depth === 0 ? 'leaf' : link['parent-cid'] === undefined ? 'base' : `link ${depth}`;
    const facts = `${link['create-type']}, CID ${link.cid ?? 'none'}, ${sizeText(link['actual-size'])} on disk`;
    const box = [
      `<g><title>${xmlText(link.filename)}</title>`,
      `<rect class="box" x="4" y="${y}" width="${WIDTH - 8}" height="${BOX}" rx="6"/>`,
      `<rect class="${linkClass(depth)}" x="4" y="${y}" width="12" height="${BOX}"/>`,
      `<text class="strong" x="28" y="${y + 22}">${depth} · ${xmlText(shortened(basename(link.filename), 58))}</text>`,
      `<text x="28" y="${y + 41}">${xmlText(facts)}</text>`,
      `<text class="end" x="${WIDTH - 18}" y="${y + 22}">${role}</text></g>`,
    ].join('');
    const isLast = depth === chain.links.length - 1;
    if (isLast && link['parent-cid'] === undefined) return box;
    return box + tie(y + BOX, link['parent-fits'], link['parent-cid']);
  });
  const last = chain.links.at(-1);
  const height = 8 + chain.links.length * (BOX + GAP) - (last?.['parent-cid'] === undefined ? GAP : 0);
  const label = `chain of ${chain.links.length} links, leaf first`;
  return svg(WIDTH, height, label, rows.join('\n'));
}

function tie(y: number, fits: boolean | undefined, parentCid: string | undefined): string {
  const [kind, says] =
    fits === undefined
      ? ['bad', `the parent (CID ${parentCid}) was not found`]
      : fits
        ? ['good', `stands on CID ${parentCid}: fits`]
        : ['bad', `made over CID ${parentCid}: the parent has another`];
  return `<path class="${kind}" d="M40 ${y}V${y + GAP - 8}m-5 -6l5 6l5 -6"/><text class="${kind}" x="56" y="${y + 20}">${xmlText(says)}</text>`;
}

/** A cell for each stretch of the disk, in the colour of the link that holds most of its data. */
export function drawAllocation(
  { cells, 'cell-size': size }: Allocation,
  sizeText: (bytes: number) => string,
): string {
  const side = WIDTH / COLUMNS;
  const rows = Math.ceil(cells.length / COLUMNS);
  const drawn = cells.map(([link, share], index) => {
    if (link < 0) return '';
    const [x, y] = [(index % COLUMNS) * side, Math.floor(index / COLUMNS) * side];
    // A little is seen as well as much.
    const height = (side - 1) * Math.max(0.25, share);
    const top = y + side - 1 - height;
    return `<rect class="${linkClass(link)}" x="${x.toFixed(2)}" y="${top.toFixed(2)}" width="${(side - 1).toFixed(2)}" height="${height.toFixed(2)}"/>`;
  });
  const full = `<rect class="ground" width="${WIDTH}" height="${(rows * side).toFixed(2)}"/>`;
  const label = `${cells.length} cells of ${sizeText(size)} each, in the order of the disk`;
  return svg(WIDTH, Math.ceil(rows * side), label, full + drawn.join(''));
}

function svg(width: number, height: number, label: string, content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${width} ${height}" aria-label="${xmlText(label)}">${content}</svg>`;
}

/** The end of a name tells more than its middle. */
function shortened(text: string, most: number): string {
  const letters = [...text];
  if (letters.length <= most) return text;
  return `${letters.slice(0, most - 21).join('')}…${letters.slice(-20).join('')}`;
}

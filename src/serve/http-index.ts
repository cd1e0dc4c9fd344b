// The list of exports as a page and as JSON, and the paths at which they are found. The page has no script and asks for
// nothing; what strangers named is text in it, never markup.
import { createHash } from 'node:crypto';
import { encoded } from '../storage/place-names.ts';
import { legible } from '../storage/store-errors.ts';
import type { ExportTable, ServedExport } from './export-types.ts';

const DISKS = '/disks/';
const SUFFIX = '.raw';

/** Of an export: `/disks/leaf.vmdk.raw`. What is sent is its content as the guest sees it. */
export function pathOf({ name }: Pick<ServedExport, 'name'>): string {
  return `${DISKS}${name.split('/').map(encoded).join('/')}${SUFFIX}`;
}

/** The name of the export at a path of a request, decoded once; undefined for what is none. */
export function exportNameAt(path: string): string | undefined {
  if (!path.startsWith(DISKS) || !path.endsWith(SUFFIX)) return undefined;
  try {
    return decodeURIComponent(path.slice(DISKS.length, -SUFFIX.length));
  } catch {
    return undefined;
  }
}

/** docs/schemas/exports.v1.json */
export function indexJson({ exports }: ExportTable): Record<string, unknown> {
  return {
    schema: 'vmdkit-exports/v1',
    exports: exports.map((served) => ({
      name: served.name,
      description: served.description,
      'virtual-size': served.size,
      links: served.links.length,
      path: pathOf(served),
    })),
  };
}

const STYLE =
  'body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color-scheme:light dark}' +
  'table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}' +
  'td:nth-child(2){text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}';

/** Nothing but the style above may act on the page. */
export const INDEX_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

export function indexPage({ exports }: ExportTable): string {
  const rows = exports.map(
    (served) =>
      `<tr><td><a href="${escaped(pathOf(served))}">${escaped(legible(served.name))}</a></td>` +
      `<td>${served.size.toLocaleString('en')}</td><td>${escaped(legible(served.description))}</td></tr>`,
  );
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>Disks</title><style>${STYLE}</style></head><body>`,
    '<h1>Disks</h1>',
    '<p>Each link leads to the content of a disk as its guest sees it, raw. As JSON: <a href="/index.json">index.json</a>.</p>',
    '<table><thead><tr><th>Name</th><th>Bytes</th><th>What it is</th></tr></thead><tbody>',
    ...rows,
    '</tbody></table></body></html>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

// A disk's description for people: what matters first, in words and with units; findings last.
import { basename, dirname } from 'node:path';
import type { Finding } from '../core/finding.ts';
import { NO_PARENT_CID, printCid } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import type { DiskReport, ExtentReport, Trouble } from '../operations/describe-disk.ts';
import { inColumns, pairs } from './columns.ts';
import { legible } from './legible.ts';
import { exactSizeText, plural, sizeText } from './numbers.ts';
import type { Paint } from './output.ts';
import { shownPath } from './shown-path.ts';

export function diskText(report: DiskReport, paint: Paint): string[] {
  const { cid, 'parent-cid': parentCid, extents } = report['format-specific'].data;
  const { reason } = report;
  return [
    paint('bold', shownPath(report.filename)),
    ...pairs([
      ['type', `${typeText(report)}, ${report.delta ? 'a delta' : 'no parent'}`],
      ['size', exactSizeText(report['virtual-size'])],
      ['on disk', exactSizeText(report['actual-size'])],
      ['CID', cid === undefined ? 'none that can be read' : printCid(cid)],
      [
        'parent CID',
        parentCid === undefined || parentCid === NO_PARENT_CID ? undefined : printCid(parentCid),
      ],
      ['parent hint', quoted(report['backing-filename'])],
      ['parent', shown(report['full-backing-filename'])],
      ['grain size', report['cluster-size'] === undefined ? undefined : sizeText(report['cluster-size'])],
      ['descriptor', descriptorText(report)],
      ['adapter', adapterText(report)],
      ['geometry', geometryText(report)],
      ['uuid', plain(report.uuid)],
      ['content id', plain(report['long-content-id'])],
      ['thin', report.thin === undefined ? undefined : report.thin ? 'yes' : 'no'],
      ['changes in', plain(report['change-tracking-file'])],
      ['shadow of', shadowText(report)],
      ['closed', report['dirty-flag'] ? paint('yellow', 'not cleanly') : undefined],
    ]).map((line) => `  ${line}`),
    ...(reason === undefined ? [] : [`  ${paint('red', 'cannot be read:')} ${legible(reason.message)}`]),
    ...(reason === undefined ? [] : wayOutLines(reason)).map((line) => `    ${line}`),
    `  ${plural(extents.length, 'extent')}`,
    ...inColumns(
      [{ head: '' }, { head: '' }, { head: '', align: 'right' }, { head: '' }, { head: '' }],
      extents.map((extent) => extentRow(extent, dirname(report.filename))),
    ).map((line) => `    ${line}`),
    ...findingLines(
      report.findings.filter(({ code }) => code !== reason?.code.toUpperCase()),
      paint,
      report.filename,
      report['parent-problem'],
    ).map((line) => `  ${line}`),
  ];
}

/** What was tried, each with what was there, and what to do. */
export function wayOutLines({ tried = [], hint }: Trouble): string[] {
  return [
    ...tried.map(({ path, outcome }) => `tried ${showText(path)}: ${legible(outcome)}`),
    ...(hint === undefined ? [] : [legible(hint)]),
  ];
}

/** One line for each finding, worst first; the path is left out where it is `about`. What is told of `trouble` follows. */
export function findingLines(
  findings: readonly Finding[],
  paint: Paint,
  about?: string,
  trouble?: Trouble,
): string[] {
  const order = ['error', 'warning', 'info'] as const;
  const sorted = order.flatMap((severity) => findings.filter((finding) => finding.severity === severity));
  return sorted.flatMap(({ code, severity, message, path }) => {
    const label = severity === 'info' ? severity : paint(severity === 'error' ? 'red' : 'yellow', severity);
    const line = `${label} ${code}: ${path === about ? '' : `${shownPath(path)}: `}${legible(message)}`;
    if (trouble === undefined || code !== trouble.code.toUpperCase()) return [line];
    return [line, ...wayOutLines(trouble).map((more) => `  ${more}`)];
  });
}

function typeText(report: DiskReport): string {
  const written = report['format-specific'].data['create-type'];
  if (written === report.type) return report.type;
  return `${report.type} (createType ${written === '' ? 'missing' : `"${showText(written)}"`})`;
}

function descriptorText({ descriptor }: DiskReport): string {
  const { embedded, version, encoding, 'decoded-as': decoded } = descriptor;
  const read = decoded === undefined ? '' : `, read as ${decoded}`;
  return `${embedded ? 'embedded' : 'text file'}, version ${version ?? 'unknown'}, ${showText(encoding)}${read}`;
}

function adapterText(report: DiskReport): string | undefined {
  const { 'adapter-type': adapter, 'hardware-version': hardware } = report;
  if (adapter === undefined && hardware === undefined) return undefined;
  const version = hardware === undefined ? '' : `hardware version ${showText(hardware)}`;
  return [adapter === undefined ? '' : showText(adapter), version].filter((part) => part !== '').join(', ');
}

function shadowText({ 'shadow-of': origin }: DiskReport): string | undefined {
  return origin === undefined ? undefined : `${showText(origin.path)}, CID ${showText(origin.cid)}`;
}

function geometryText({ geometry }: DiskReport): string | undefined {
  if (geometry === undefined) return undefined;
  const { cylinders, heads, sectors } = geometry;
  return `${cylinders} cylinders, ${heads} heads, ${sectors} sectors`;
}

/** Files are named from the folder of the disk, as its descriptor does. */
function extentRow(extent: ExtentReport, folder: string): string[] {
  const { filename, found } = extent;
  const offset = extent.offset === undefined || extent.offset === 0 ? '' : ` from byte ${extent.offset}`;
  const state =
    found === false
      ? 'missing'
      : extent['actual-size'] === undefined
        ? ''
        : `${sizeText(extent['actual-size'])} on disk`;
  const file =
    filename === undefined
      ? 'no file'
      : `${showText(dirname(filename) === folder ? basename(filename) : filename)}${offset}`;
  return [extent.access, extent.format, sizeText(extent['virtual-size']), file, state];
}

function quoted(text: string | undefined): string | undefined {
  return text === undefined ? undefined : `"${showText(text)}"`;
}

function plain(text: string | undefined): string | undefined {
  return text === undefined ? undefined : showText(text);
}

function shown(path: string | undefined): string | undefined {
  return path === undefined ? undefined : shownPath(path);
}

// A report as one page: no script, nothing fetched, one style that the page's own policy names by its hash. Rule: all
// that comes from disks goes through xmlText; there is no other way into the page.
import { createHash } from 'node:crypto';
import type { Finding } from '../core/finding.ts';
import { xmlText } from '../format/xml-text.ts';
import { drawAllocation, drawChain, linkClass, LINK_COLOURS } from './report-drawings.ts';
import type {
  Allocation,
  ReportDisk,
  ReportFacts,
  ReportFile,
  ReportMachine,
  ReportSlack,
} from './report-facts.ts';

const STYLE = [
  ':root{color-scheme:light dark;--ink:#111827;--soft:#4b5563;--paper:#ffffff;--line:#d1d5db;--ground:#e5e7eb;--bad:#b00020;--good:#14632f}',
  '@media(prefers-color-scheme:dark){:root{--ink:#f3f4f6;--soft:#c3c8d0;--paper:#14171c;--line:#454b55;--ground:#2b3038;--bad:#ff9aa5;--good:#8fe0ab}}',
  'body{margin:0 auto;padding:24px;max-width:960px;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}',
  'h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px;border-bottom:2px solid var(--line);padding-bottom:4px}h3{font-size:16px;margin:22px 0 6px}',
  'h1,h2,h3,td,p,li{overflow-wrap:anywhere}',
  'p.soft,.soft{color:var(--soft)}',
  'table{border-collapse:collapse;width:100%;font-size:14px;margin:8px 0}',
  'th,td{text-align:left;vertical-align:top;padding:4px 18px 4px 0;border-bottom:1px solid var(--line)}',
  'th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;white-space:nowrap}td.k{white-space:nowrap}.wide{overflow-x:auto}@media screen{td:not(.n):not(.k){min-width:7em}}',
  'code,.mono{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:13px;overflow-wrap:anywhere}',
  'svg{display:block;width:100%;height:auto;margin:8px 0}',
  'svg text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}svg .strong{font-weight:600}svg .end{text-anchor:end;fill:var(--soft)}',
  'svg .box{fill:none;stroke:var(--line);stroke-width:1.5}svg .ground{fill:var(--ground)}',
  'svg path{fill:none;stroke-width:1.8}svg path.good{stroke:var(--good)}svg path.bad{stroke:var(--bad);stroke-dasharray:5 3}svg text.good{fill:var(--good)}svg text.bad{fill:var(--bad)}',
  ...LINK_COLOURS.map((colour, index) => `.l${index}{fill:${colour}}.k${index}{background:${colour}}`),
  '.key{display:inline-block;width:14px;height:14px;border:1px solid var(--line);vertical-align:-2px;margin-right:6px}.empty{background:var(--ground)}',
  '.error{color:var(--bad);font-weight:600}.warning{font-weight:600}',
  'ol.time{list-style:none;margin:8px 0;padding:0 0 0 14px;border-left:3px solid var(--line)}ol.time li{margin:0 0 10px;padding-left:10px}ol.time time{display:block}',
  '@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--paper:#fff;--line:#999;--ground:#e5e7eb;--bad:#b00020;--good:#14632f}body{padding:0;max-width:none;font-size:11pt}table{font-size:9pt}code,.mono{font-size:8.5pt}h2{break-after:avoid}h3{break-after:avoid}tr,svg,li{break-inside:avoid}svg,.key{print-color-adjust:exact;-webkit-print-color-adjust:exact}}',
].join('\n');

export type SizeText = (bytes: number) => string;

/** `sizeText` says a number of bytes for people. */
export function reportPage(facts: ReportFacts, sizeText: SizeText): string {
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">',
    `<title>${xmlText(facts.title)}</title>`,
    `<style>${STYLE}</style></head><body>`,
    `<h1>${xmlText(facts.title)}</h1>`,
    headLines(facts),
    summary(facts),
    facts.machine === undefined ? '' : machineSection(facts.machine),
    ...facts.disks.map((disk) => diskSection(disk, sizeText)),
    timelineSection(facts),
    filesSection(facts),
    '</body></html>',
    '',
  ].join('\n');
}

function headLines({ made, version, examiner, case: name, arguments: words }: ReportFacts): string {
  const parts = [
    name === undefined ? '' : `Case ${xmlText(name)}. `,
    examiner === undefined ? '' : `Examined by ${xmlText(examiner)}. `,
    `Made ${xmlText(made)} (UTC) by vmdkit ${xmlText(version)}, which only read.`,
  ];
  return `<p class="soft">${parts.join('')}<br>Command: <code>vmdkit ${xmlText(words.join(' '))}</code></p>`;
}

function summary({ disks, machine }: ReportFacts): string {
  const rows = disks.map(({ name, verdict, findings, failure, chain }) => {
    const state = failure === undefined ? verdict : `cannot be opened: ${failure.code}`;
    return summaryRow(
      name,
      chain.links.length,
      state,
      failure !== undefined || verdict !== 'sound',
      findings,
    );
  });
  if (machine !== undefined) rows.unshift(summaryRow('the machine itself', '', '', false, machine.findings));
  return `<h2>Summary</h2>${table(['What', '#Links', 'Verdict', '#Errors', '#Other findings'], rows)}`;
}

function summaryRow(
  name: string,
  links: number | string,
  state: string,
  bad: boolean,
  findings: readonly Finding[],
): Cell[] {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const others = findings.length - errors;
  const verdict = bad ? cell(`<span class="error">${xmlText(state)}</span>`) : text(state);
  return [text(name), number(links), verdict, number(errors), number(others)];
}

function machineSection(machine: ReportMachine): string {
  const { snapshots } = machine;
  const rows = snapshots.map((each) => [
    number(each.uid),
    text(each.name + (each.current ? ' (current)' : '')),
    short(each.created ?? 'not told'),
    text(each.parent === undefined ? '' : String(each.parent)),
    text(each.description),
    mono(each.disks.join(', ')),
  ]);
  const facts = [
    ['File', machine.filename],
    ['Guest', machine['guest-os'] ?? 'not told'],
    ['Power', machine.power],
  ].map(([name, value]) => [text(name!), mono(value!)]);
  const list =
    rows.length === 0
      ? '<p>No snapshots.</p>'
      : `<h3>Snapshots</h3>${table(['#UID', 'Name', 'Created (UTC)', 'From', 'Description', 'Disks'], rows)}`;
  return `<h2>Machine ${xmlText(machine.name)}</h2>${table(['', ''], facts)}${list}${findingTable(machine.findings)}`;
}

function diskSection(disk: ReportDisk, sizeText: SizeText): string {
  const { at, chain, allocation, hashes, failure, slack } = disk;
  const links = chain.links.map((link) => [
    number(link.depth),
    mono(link.filename),
    short(link['create-type']),
    short(link.cid ?? 'none'),
    short(link['parent-cid'] ?? 'base'),
    size(link['virtual-size'], sizeText),
    size(link['actual-size'], sizeText),
  ]);
  return [
    `<h2>Disk ${xmlText(disk.name)}</h2>`,
    at === undefined ? '' : `<p>As it was at ${xmlText(at)}.</p>`,
    failure === undefined ? '' : `<p class="error">${xmlText(failure.message)}</p>`,
    `<h3>Chain</h3>${drawChain(disk, sizeText)}`,
    table(['#Link', 'File', 'Type', 'CID', 'Parent CID', '#Size', '#On disk'], links),
    allocation === undefined ? '' : allocationPart(allocation, sizeText),
    partitionPart(disk, sizeText),
    hashes === undefined ? '' : hashPart(hashes),
    slack === undefined ? '' : slackPart(slack, sizeText),
    `<h3>Findings</h3>${findingTable(disk.findings)}`,
  ].join('\n');
}

function allocationPart(allocation: Allocation, sizeText: SizeText): string {
  const rows = allocation.links.map(({ depth, data, zero }) => [
    cell(`<span class="key k${linkClass(depth).slice(1)}"></span>link ${depth}`),
    size(data, sizeText),
    size(zero, sizeText),
  ]);
  rows.push([
    cell('<span class="key empty"></span>in no link: zeros'),
    number(''),
    size(allocation.absent, sizeText),
  ]);
  const note = `Each cell is ${sizeText(allocation['cell-size'])}, from the start of the disk; its colour is the link that holds most of its data, its height how much of it is data.`;
  const heads = ['Who answers', '#Data', '#Zeros'];
  return `<h3>What is where</h3>${drawAllocation(allocation, sizeText)}<p class="soft">${xmlText(note)}</p>${table(heads, rows)}`;
}

function partitionPart(disk: ReportDisk, sizeText: SizeText): string {
  const { volumes = [], 'partition-scheme': scheme } = disk;
  if (scheme === undefined) return '';
  const rows = volumes.map((volume) => [
    number(volume.partition === 0 ? '' : volume.partition),
    number(volume.start / 512),
    size(volume.length, sizeText),
    text(volume.description),
    text(volume['file-system'] ?? volume.problem ?? ''),
    text(volume.label ?? ''),
  ]);
  const says = { dos: 'DOS partition table', gpt: 'GUID partition table' }[scheme] ?? 'no partition table';
  return `<h3>Partitions: ${says}</h3>${table(['#No.', '#First sector', '#Size', 'Type or name', 'File system', 'Label'], rows)}`;
}

const SPARSE_NOTE =
  'SPARSE-SHA256 is SHA-256 over the blocks of 64 KiB that are not all zero, each behind its number: hashing all the zeros would take hours. It is what <code>vmdkit hash --sparse-only</code> prints.';

function hashPart(hashes: Readonly<Record<string, string>>): string {
  const rows = Object.entries(hashes).map(([name, value]) => [text(name.toUpperCase()), mono(value)]);
  const note = hashes['sparse-sha256'] === undefined ? '' : `<p class="soft">${SPARSE_NOTE}</p>`;
  return `<h3>Hashes of the merged contents</h3>${table(['', ''], rows)}${note}`;
}

const SLACK_KINDS = {
  unreferenced: 'space that nothing refers to',
  behind: 'behind the end',
  'same-as-below': 'says what the disk below says',
  text: 'in a descriptor',
} as const;

function slackPart({ kinds, items, 'zero-bytes': zeros, problem }: ReportSlack, sizeText: SizeText): string {
  const rows = items.map(({ kind, filename, offset, length, sha256, note }) => [
    cell(
      `${SLACK_KINDS[kind]}${note === undefined ? '' : `: ${xmlText(note)}`}<br><span class="mono soft">${xmlText(filename)}, byte ${offset}<br>SHA-256 ${sha256}</span>`,
    ),
    number(length.toLocaleString('en')),
  ]);
  const sums = kinds.map(
    ({ kind, count, bytes }) => `${SLACK_KINDS[kind]}: ${count}, ${sizeText(bytes)} in all`,
  );
  const notes = [
    ...sums,
    zeros === 0 ? '' : `${sizeText(zeros)} that nothing refers to are zeros`,
    items.length < kinds.reduce((sum, { count }) => sum + count, 0)
      ? 'the first of each kind are shown: vmdkit slack has them all'
      : '',
    problem === undefined ? '' : `the search ended early: ${problem}`,
  ].filter((note) => note !== '');
  const said = notes.length === 0 ? 'None.' : `${notes.join('; ')}.`;
  const list = rows.length === 0 ? '' : table(['What', '#Bytes'], rows);
  return `<h3>Slack</h3><p>${xmlText(said)}</p>${list}`;
}

function findingTable(findings: readonly Finding[]): string {
  if (findings.length === 0) return '<p>Nothing was found.</p>';
  const rows = findings.map(({ severity, code, message, path, offset }) => [
    cell(`<span class="${severity}">${severity}</span>`),
    short(code),
    cell(
      `${xmlText(message)}<br><span class="mono soft">${xmlText(path)}${offset === undefined ? '' : `, byte ${offset}`}</span>`,
    ),
  ]);
  return table(['Severity', 'Code', 'What'], rows);
}

function timelineSection({ timeline }: ReportFacts): string {
  const items = timeline.map(
    ({ time, what, source }) =>
      `<li><time class="mono" datetime="${xmlText(time)}">${xmlText(time)}</time>${xmlText(what)} <span class="soft">(${xmlText(source)})</span></li>`,
  );
  const note =
    "Times of snapshots are the snapshot database's, those of files the file system's; both in UTC, and both can be set by whoever writes there.";
  return `<h2>Timeline</h2><ol class="time">${items.join('')}</ol><p class="soft">${xmlText(note)}</p>`;
}

function filesSection({ files }: ReportFacts): string {
  const rows = files.map((file) => [
    cell(`<span class="mono">${xmlText(file.filename)}</span>${digestPart(file)}`),
    number(file.size.toLocaleString('en')),
    short(file.modified),
  ]);
  return `<h2>Manifest</h2>${table(['File', '#Bytes', 'Modified (UTC)'], rows)}`;
}

function digestPart({ sha256, 'sparse-sha256': sparse }: ReportFile): string {
  const said = sha256 === undefined ? sparse && `SPARSE-SHA256 ${sparse}` : `SHA-256 ${sha256}`;
  return said === undefined ? '' : `<br><span class="mono soft">${xmlText(said)}</span>`;
}

/** A cell, ready to be joined: its content is escaped by whoever makes it. */
interface Cell {
  readonly html: string;
  readonly kind: string;
}

function cell(html: string, kind = ''): Cell {
  return { html, kind };
}

function text(value: string): Cell {
  return cell(xmlText(value));
}

function mono(value: string): Cell {
  return cell(`<span class="mono">${xmlText(value)}</span>`);
}

/** What never breaks: hexadecimal numbers, times, codes. */
function short(value: string): Cell {
  return cell(`<span class="mono">${xmlText(value)}</span>`, 'k');
}

function number(value: number | string): Cell {
  return cell(xmlText(String(value)), 'n');
}

function size(bytes: number, sizeText: SizeText): Cell {
  return number(sizeText(bytes));
}

/** Heads that begin with `#` are of numbers. */
function table(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const head = heads.every((name) => name === '')
    ? ''
    : `<thead><tr>${heads.map((name) => `<th${name.startsWith('#') ? ' class="n"' : ''} scope="col">${xmlText(name.replace(/^#/, ''))}</th>`).join('')}</tr></thead>`;
  const body = rows.map(
    (cells) =>
      `<tr>${cells.map(({ html, kind }) => `<td${kind === '' ? '' : ` class="${kind}"`}>${html}</td>`).join('')}</tr>`,
  );
  return `<div class="wide"><table>${head}<tbody>${body.join('\n')}</tbody></table></div>`;
}

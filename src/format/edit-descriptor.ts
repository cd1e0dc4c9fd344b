// Changes single values of a descriptor in place. Rule: every line that no edit names stays byte for byte, and so do
// line ends, quoting and spelling of the lines that are touched. New keys go where VMware writes them.
import { checkedDdbKey, checkedExtent, type NewExtent } from './compose-descriptor.ts';
import { isUsableCid, parseCid, printCid } from './content-id.ts';
import { parseDescriptor, type Descriptor, type ExtentLine } from './descriptor.ts';
import { EditableText } from './editable-text.ts';
import { printExtentLine } from './extent-line.ts';
import { encodeValue } from './plain-text.ts';

/** What to change; what is left out stays. Null takes the key away. */
export interface DescriptorEdits {
  readonly cid?: number;
  readonly parentCid?: number;
  readonly parentFileNameHint?: string | null;
  /** 32 hex digits. */
  readonly longContentId?: string | null;
  /** Change tracking can only be dropped: a map of what changed is not ours to write. */
  readonly changeTrackPath?: null;
  readonly version?: number;
  readonly createType?: string;
  /** Full keys, e.g. `ddb.adapterType`. */
  readonly ddb?: Readonly<Record<string, string | null>>;
  /** All extents, in order; a line whose extent is unchanged stays as it is. */
  readonly extents?: readonly (NewExtent | ExtentLine)[];
}

/** The order of header keys as VMware writes them, in lower case. */
const HEADER_ORDER = ['version', 'encoding', 'cid', 'parentcid', 'isnativesnapshot', 'createtype'];
const EXTENTS_TITLE = /^#\s*extent description/i;

/**
 * A new descriptor with the edits done; `descriptor` stays as it was.
 * @throws VmdkError `usage` for text that cannot be written; RangeError for numbers that cannot be.
 */
export function editDescriptor(descriptor: Descriptor, edits: DescriptorEdits): Descriptor {
  const text = new EditableText(descriptor.lines, descriptor.decodedAs);
  // Extents first: their lines are found by the place they had when the text was read.
  if (edits.extents !== undefined) setExtents(text, descriptor, edits.extents);
  for (const [key, value] of headerEdits(descriptor, edits)) setHeader(text, key, value);
  if (edits.parentFileNameHint !== undefined) setHint(text, edits.parentFileNameHint);
  if (edits.changeTrackPath === null) dropChangeTracking(text);
  for (const [key, value] of Object.entries(edits.ddb ?? {})) setDdb(text, checkedDdbKey(key), value);
  if (edits.longContentId !== undefined) setDdb(text, 'ddb.longContentID', edits.longContentId);
  return parseDescriptor(Buffer.concat([text.bytes(), descriptor.tail]), descriptor.path);
}

/**
 * Gives the disk a new content id: CID, and ddb.longContentID when the descriptor has one. No line changes its length
 * when `newCid` has at most `cidWidth` digits, so the text can then be rewritten sector by sector.
 * @param randomHex24 24 hex digits for the first part of longContentID.
 */
export function rollContentId(descriptor: Descriptor, newCid: number, randomHex24: string): Descriptor {
  if (!/^[0-9a-f]{24}$/.test(randomHex24)) throw new RangeError(`not 24 hex digits: ${randomHex24}`);
  const old = descriptor.ddb.get('ddb.longcontentid');
  if (old === undefined) return editDescriptor(descriptor, { cid: newCid });
  const full = randomHex24 + printCid(newCid);
  const longContentId = old.length > 0 && old.length < full.length ? full.slice(-old.length) : full;
  return editDescriptor(descriptor, { cid: newCid, longContentId });
}

/** How many hex digits the CID has in the text: 8, or fewer where QEMU wrote it. 8 where it cannot be read. */
export function cidWidth(descriptor: Descriptor): number {
  return digitsOf(descriptor.header.get('cid'));
}

function digitsOf(value: string | undefined): number {
  return value !== undefined && parseCid(value) !== undefined ? value.length : 8;
}

function checkedVersion(version: number): number {
  if (!Number.isInteger(version) || version < 1) throw new RangeError(`not a descriptor version: ${version}`);
  return version;
}

function headerEdits(descriptor: Descriptor, edits: DescriptorEdits): [key: string, value: string][] {
  const values: [string, string][] = [];
  const { version, cid, parentCid, createType } = edits;
  if (version !== undefined) values.push(['version', String(checkedVersion(version))]);
  if (cid !== undefined) {
    if (!isUsableCid(cid)) throw new RangeError(`not a CID: ${cid}`);
    values.push(['CID', printCid(cid, cidWidth(descriptor))]);
  }
  if (parentCid !== undefined) {
    values.push(['parentCID', printCid(parentCid, digitsOf(descriptor.header.get('parentcid')))]);
  }
  if (createType !== undefined) values.push(['createType', createType]);
  return values;
}

function setHeader(text: EditableText, key: string, value: string): void {
  if (text.replaceValue(key, value)) return;
  const before = HEADER_ORDER.slice(0, HEADER_ORDER.indexOf(key.toLowerCase()));
  const after = text.findLast((line) => line.key !== undefined && before.includes(line.key));
  encodeValue(value, key);
  text.insert(after + 1, key === 'createType' ? `${key}="${value}"` : `${key}=${value}`, key);
}

function setHint(text: EditableText, hint: string | null): void {
  const key = 'parentFileNameHint';
  if (hint !== null) {
    if (text.replaceValue(key, hint)) return;
    text.insert(extentsStart(text), `${key}="${hint}"`, key);
    return;
  }
  // In a disk without a parent a blank line stands in place of the hint.
  removeKey(text, key, (at) => {
    if (text.latin1(at - 1) !== '' && text.latin1(at) !== '') text.insert(at, '');
  });
}

function dropChangeTracking(text: EditableText): void {
  removeKey(text, 'changeTrackPath', (at) => {
    if (/^#\s*change tracking file/i.test(text.latin1(at - 1))) text.remove(at - 1);
  });
}

function setDdb(text: EditableText, key: string, value: string | null): void {
  if (value === null) {
    removeKey(text, key, () => undefined);
    return;
  }
  if (text.replaceValue(key, value)) return;
  const last = text.findLast((line) => line.key?.startsWith('ddb.') === true);
  const title = last >= 0 ? -1 : findLastText(text, /^#\s*DDB$/i);
  if (last < 0 && title < 0) {
    for (const line of ['', '# The Disk Data Base ', '#DDB']) text.insert(text.length, line);
  }
  const at = last >= 0 ? last + 1 : title >= 0 ? title + 1 : text.length;
  if (last < 0) text.insert(at, '');
  text.insert(last < 0 ? at + 1 : at, `${key} = "${value}"`, key);
}

function setExtents(
  text: EditableText,
  { extents: old }: Descriptor,
  extents: readonly (NewExtent | ExtentLine)[],
): void {
  const places = old.map(({ line }) => line - 1);
  let end = (places.at(-1) ?? findLastText(text, EXTENTS_TITLE)) + 1;
  for (const [index, extent] of extents.entries()) {
    const known = old[index];
    if (known !== undefined && sameExtent(known, extent)) continue;
    const line = extentText(extent);
    if (known === undefined) text.insert(end++, line);
    else text.rewrite(places[index]!, line);
  }
  for (const place of places.slice(extents.length).toReversed()) text.remove(place);
}

function extentText(extent: NewExtent | ExtentLine): string {
  if (extent.fileName !== undefined) encodeValue(extent.fileName, 'extent file name');
  // A line that was read may keep what a new one may not have, e.g. an offset in a VMFS extent.
  return printExtentLine('line' in extent ? extent : checkedExtent(extent));
}

function sameExtent(known: ExtentLine, extent: NewExtent | ExtentLine): boolean {
  return (
    known.access === (extent.access ?? 'RW') &&
    known.sectors === extent.sectors &&
    known.type === extent.type.toUpperCase() &&
    known.fileName === extent.fileName &&
    known.offset === (extent.offset ?? 0)
  );
}

/** Removes every line with this key; `after` may tidy up around the place where it stood. */
function removeKey(text: EditableText, key: string, after: (at: number) => void): void {
  const isIt = (line: { key?: string }): boolean => line.key === key.toLowerCase();
  for (let at = text.findLast(isIt); at >= 0; at = text.findLast(isIt)) {
    text.remove(at);
    after(at);
  }
}

/** Where the extents' section begins, or the header ends when there is none. */
function extentsStart(text: EditableText): number {
  const first = text.findFirst(({ kind }) => kind === 'extent');
  for (let at = first - 1; at >= 0 && /^(?:#|$)/.test(text.latin1(at)); at--) {
    if (EXTENTS_TITLE.test(text.latin1(at))) return at;
  }
  if (first >= 0) return first;
  const title = findLastText(text, EXTENTS_TITLE);
  if (title >= 0) return title;
  return text.findLast(({ key }) => key !== undefined && HEADER_ORDER.includes(key)) + 1;
}

function findLastText(text: EditableText, pattern: RegExp): number {
  for (let at = text.length - 1; at >= 0; at--) if (pattern.test(text.latin1(at))) return at;
  return -1;
}

// Changes single lines of a .vmx or .vmsd in place, and composes new ones. Rule: every line that no edit names stays
// byte for byte; a touched one keeps its spelling, its blanks, its comment and its line end.
import { usageError, VmdkError } from '../core/errors.ts';
import {
  encodeDictionaryValue,
  parseDictionary,
  printDictionary,
  type Dictionary,
  type DictionaryLine,
} from './dictionary.ts';
import { showText } from './plain-text.ts';
import { canonicalEncoding, valueDecoder } from './text-encoding.ts';

/** What a name may be made of; VMware's grammar would allow a little more. */
const NAME = /^[A-Za-z0-9_.:/-]+$/;
const ENCODING = '.encoding';
const QUOTE = 0x22;
const BARE = /^[\w.:+-]+$/;

interface Line extends DictionaryLine {
  readonly raw: Buffer;
}

/**
 * A new dictionary with the edits done. Null takes all lines of a name away; a value replaces those of all its lines; a
 * new name goes after the last line with the longest equal dotted prefix, else to the end.
 * @throws VmdkError `usage` for a name that cannot be and for characters that the file's encoding lacks.
 */
export function editDictionary(
  dictionary: Dictionary,
  edits: Readonly<Record<string, string | null>>,
): Dictionary {
  const lines: Line[] = dictionary.lines.map((line) => ({ ...line, raw: Buffer.from(line.raw) }));
  const eol = usualEnd(lines);
  for (const [name, value] of Object.entries(edits)) {
    const key = checkedName(name);
    const known = dictionary.entries.filter((entry) => entry.key === key);
    if (value === null) removeAll(lines, key);
    else if (known.length === 0 || known.some((entry) => entry.value !== value))
      setValue(lines, { name, key, content: encoded(value, name, dictionary), eol });
  }
  return parseDictionary(printDictionary({ lines }), dictionary.path);
}

/** A new dictionary: `.encoding` first, then the entries in order. */
export function composeDictionary(
  entries: readonly (readonly [name: string, value: string])[],
  options: { path: string; encoding?: string; eol?: '\n' | '\r\n' },
): Dictionary {
  const { path, encoding = 'UTF-8', eol = '\n' } = options;
  const canonical = canonicalEncoding(encoding);
  if (canonical === undefined) throw usageError(`${encoding} is not an encoding we know`);
  const all = [[ENCODING, encoding] as const, ...entries];
  const lines = all.map(([name, value]) => {
    if (name !== ENCODING) checkedName(name);
    return newLine(name, encodeDictionaryValue(value, name, canonical), eol);
  });
  return parseDictionary(Buffer.concat(lines), path);
}

/** The same dictionary in UTF-8, for values that its encoding cannot write. Lines without foreign characters stay. */
export function reencodeDictionary(dictionary: Dictionary): Dictionary {
  const decode = valueDecoder(dictionary.encoding);
  const values = new Map(dictionary.entries.map(({ line, name, value }) => [line, { name, value }]));
  const lines: Line[] = dictionary.lines.map((line, index) => {
    const raw = Buffer.from(line.raw);
    if (line.key === ENCODING || line.key === 'encoding') {
      return withContent({ ...line, raw }, ENCODING, Buffer.from('UTF-8'));
    }
    if (raw.every((byte) => byte < 0x80 && byte !== 0x7c)) return { ...line, raw };
    const entry = values.get(index + 1);
    if (entry === undefined) return { ...line, raw: Buffer.from(decode(raw.toString('latin1'))) };
    return withContent({ ...line, raw }, entry.name, encodeDictionaryValue(entry.value, entry.name, 'utf-8'));
  });
  if (!lines.some(({ key }) => key === ENCODING || key === 'encoding')) {
    lines.unshift({ raw: newLine(ENCODING, Buffer.from('UTF-8'), usualEnd(lines)), key: ENCODING });
  }
  return parseDictionary(printDictionary({ lines }), dictionary.path);
}

/**
 * Gives keys new names, values untouched: `rename` gets each name as spelled and gives its new one, null to drop the
 * line, or undefined to keep it.
 */
export function renameKeys(
  dictionary: Dictionary,
  rename: (name: string) => string | null | undefined,
): Dictionary {
  const names = new Map(dictionary.entries.map(({ line, name }) => [line, name]));
  const kept: Line[] = [];
  for (const [index, line] of dictionary.lines.entries()) {
    const raw = Buffer.from(line.raw);
    const name = names.get(index + 1);
    const renamed = name === undefined ? undefined : rename(name);
    if (renamed === null) continue;
    if (name === undefined || renamed === undefined || renamed === name) {
      kept.push({ ...line, raw });
      continue;
    }
    checkedName(renamed);
    const at = raw.indexOf(name, 0, 'latin1');
    const parts = [raw.subarray(0, at), Buffer.from(renamed), raw.subarray(at + name.length)];
    kept.push({ raw: Buffer.concat(parts) });
  }
  return parseDictionary(printDictionary({ lines: kept }), dictionary.path);
}

function checkedName(name: string): string {
  const key = name.toLowerCase();
  if (key === ENCODING) throw usageError('.encoding cannot be edited: it says how all other lines are read');
  if (NAME.test(name)) return key;
  throw usageError(`${JSON.stringify(showText(name))} cannot be a name in a .vmx or .vmsd`);
}

function encoded(value: string, name: string, { path, encoding }: Dictionary): Buffer {
  try {
    return encodeDictionaryValue(value, name, encoding);
  } catch (error) {
    if (!(error instanceof VmdkError)) throw error;
    throw new VmdkError(error.kind, error.code, `the value of ${showText(name)} cannot be written`, {
      ...error.context,
      path,
    });
  }
}

interface NewValue {
  readonly name: string;
  readonly key: string;
  readonly content: Buffer;
  readonly eol: string;
}

function setValue(lines: Line[], { name, key, content, eol }: NewValue): void {
  let found = false;
  for (const [index, line] of lines.entries()) {
    if (line.key !== key) continue;
    lines[index] = withContent(line, name, content);
    found = true;
  }
  if (found) return;
  const at = placeFor(lines, key);
  const before = lines[at - 1];
  if (before !== undefined && endOf(before.raw) === '') {
    lines[at - 1] = { ...before, raw: Buffer.concat([before.raw, Buffer.from(eol)]) };
  }
  const raw = newLine(name, content, eol);
  const start = raw.indexOf(QUOTE) + 1;
  lines.splice(at, 0, { raw, key, value: { start, end: start + content.length } });
}

/** The line with another value; one whose quotes are a slip is written anew. */
function withContent(line: Line, name: string, content: Buffer): Line {
  const { raw, value: span } = line;
  if (span === undefined) return { ...line, raw: newLine(name, content, endOf(raw)) };
  if (raw.subarray(span.start, span.end).equals(content)) return line;
  const wasBare = raw[span.start - 1] !== QUOTE;
  const quote = Buffer.from(wasBare && !BARE.test(content.toString('latin1')) ? '"' : '');
  const parts = [raw.subarray(0, span.start), quote, content, quote, raw.subarray(span.end)];
  const start = span.start + quote.length;
  return { ...line, raw: Buffer.concat(parts), value: { start, end: start + content.length } };
}

function removeAll(lines: Line[], key: string): void {
  for (let at = lines.length - 1; at >= 0; at--) if (lines[at]!.key === key) lines.splice(at, 1);
}

/** After the last line that shares the longest dotted prefix: `scsi0:0.mode` after `scsi0:0.fileName`. */
function placeFor(lines: readonly Line[], key: string): number {
  for (let dot = key.lastIndexOf('.'); dot > 0; dot = key.lastIndexOf('.', dot - 1)) {
    const prefix = key.slice(0, dot + 1);
    const last = lines.findLastIndex((line) => line.key?.startsWith(prefix) === true);
    if (last >= 0) return last + 1;
  }
  return lines.length;
}

function newLine(name: string, content: Buffer, eol: string): Buffer {
  return Buffer.concat([Buffer.from(`${name} = "`), content, Buffer.from(`"${eol}`)]);
}

function usualEnd(lines: readonly Line[]): string {
  return lines.map(({ raw }) => endOf(raw)).find((eol) => eol !== '') ?? '\n';
}

function endOf(raw: Uint8Array): string {
  const [before, last] = [raw[raw.length - 2], raw[raw.length - 1]];
  if (last === 0x0a) return before === 0x0d ? '\r\n' : '\n';
  return last === 0x0d ? '\r' : '';
}

// The dictionary texts of a machine (.vmx, .vmsd, .vmtx): `name = "value"` line by line. Rule: every line is kept byte
// for byte; only values are decoded, and what is odd is a problem, never an error.
// Source: open-vm-tools lib/dict/dictll.c (lines, |HH escapes); .encoding names are ICU's.
import { VmdkError } from '../core/errors.ts';
import { showText } from './plain-text.ts';
import {
  canonicalEncoding,
  encodeText,
  FALLBACK_ENCODING,
  fitsEncoding,
  valueDecoder,
} from './text-encoding.ts';
import { parsePair, splitLines, type TextLine, type TextPair } from './text-lines.ts';

/** Real ones have some KiB; guestinfo values may make them larger. */
export const MAX_DICTIONARY_BYTES = 4 * 1024 * 1024;
export const MAX_DICTIONARY_LINES = 65536;

export interface DictionaryEntry {
  /** In lower case: names are compared so. */
  readonly key: string;
  /** As spelled. */
  readonly name: string;
  /** |HH undone, decoded. */
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/** Codes begin `dict-`. */
export interface DictionaryProblem {
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'info';
  readonly message: string;
  readonly line?: number;
}

/** One line, byte-exact: `raw` includes its line end. */
export interface DictionaryLine {
  readonly raw: Uint8Array;
  /** Of a pair: its key in lower case. */
  readonly key?: string;
  /** Which bytes of `raw` are the value without its quotes; missing where the quotes are a slip. */
  readonly value?: { readonly start: number; readonly end: number };
}

export interface Dictionary {
  /** The file it was read from. */
  readonly path: string;
  /** The decoder in use: another than declared when the bytes do not fit the declaration. */
  readonly encoding: string;
  readonly entries: readonly DictionaryEntry[];
  readonly problems: readonly DictionaryProblem[];
  readonly lines: readonly DictionaryLine[];
  /** The value of a name in any case; of duplicates the last. */
  get(name: string): string | undefined;
}

const BOM = '\u00ef\u00bb\u00bf';
const UTF8 = 'utf-8';
const ESCAPE = /\|([0-9a-f]{2})/gi;

/** @throws VmdkError `corrupt` `dictionary-too-large`; `not-a-dictionary` for bytes that are no such text at all. */
export function parseDictionary(bytes: Uint8Array, path: string): Dictionary {
  const texts = limitedLines(bytes, path);
  const pairs = texts.map(({ latin1 }) => (latin1.startsWith('#') ? undefined : parsePair(latin1)));
  assertText(bytes, texts, pairs, path);
  const problems: DictionaryProblem[] = [];
  const encoding = chooseEncoding(bytes, pairs, problems);
  const decode = valueDecoder(encoding);
  const entries: DictionaryEntry[] = [];
  const last = new Map<string, DictionaryEntry>();
  const lines = texts.map((text, index): DictionaryLine => {
    const pair = pairs[index];
    const line = index + 1;
    noteOddLine(text, pair, line, problems);
    if (pair === undefined) return { raw: text.raw };
    const name = decode(pair.key);
    const entry = { key: name.toLowerCase(), name, value: decode(unescape(pair.value)), line };
    const earlier = last.get(entry.key);
    if (earlier !== undefined) problems.push(duplicate(entry, earlier));
    entries.push(entry);
    last.set(entry.key, entry);
    if (pair.quoting !== 'bare' && pair.quoting !== 'quoted') return { raw: text.raw, key: entry.key };
    const start = text.start + pair.valueStart;
    return { raw: text.raw, key: entry.key, value: { start, end: start + pair.value.length } };
  });
  const get = (name: string): string | undefined => last.get(name.toLowerCase())?.value;
  return { path, encoding, entries, problems, lines, get };
}

/** Byte for byte what was read, when nothing was edited. */
export function printDictionary({ lines }: Pick<Dictionary, 'lines'>): Buffer {
  return Buffer.concat(lines.map(({ raw }) => raw));
}

/**
 * The bytes of a value between quotes: `"`, `|` and control characters but the tab as |HH.
 * @throws VmdkError `usage` `name-not-encodable`.
 */
export function encodeDictionaryValue(value: string, name: string, encoding: string): Buffer {
  const bytes = encodeText(value, encoding);
  if (bytes === undefined) {
    throw new VmdkError('usage', 'name-not-encodable', `the value of ${showText(name)} cannot be written`, {
      field: showText(name),
      found: JSON.stringify(value),
      expected: `characters of ${encoding}, which the file declares`,
      hint: 'Choose a value that this encoding can write.',
    });
  }
  // On bytes, as VMware does: also the second half of a Shift_JIS character may be a bar.
  const escaped = bytes
    .toString('latin1')
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000a-\u001f"|\u007f]/g, (byte) => `|${hex(byte.charCodeAt(0))}`);
  return Buffer.from(escaped, 'latin1');
}

function unescape(latin1: string): string {
  if (!latin1.includes('|')) return latin1;
  return latin1.replace(ESCAPE, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

function limitedLines(bytes: Uint8Array, path: string): TextLine[] {
  const lines = bytes.length > MAX_DICTIONARY_BYTES ? undefined : splitLines(bytes, MAX_DICTIONARY_LINES);
  if (lines !== undefined) return lines;
  throw new VmdkError('corrupt', 'dictionary-too-large', 'the file is too long for what its name says', {
    path,
    found: `${bytes.length} bytes`,
    expected: `at most ${MAX_DICTIONARY_BYTES} bytes and ${MAX_DICTIONARY_LINES} lines`,
  });
}

/** A disk or an archive called .vmx by mistake must not count as a machine without devices. */
function assertText(
  bytes: Uint8Array,
  texts: readonly TextLine[],
  pairs: readonly (TextPair | undefined)[],
  path: string,
): void {
  const nul = bytes.indexOf(0);
  const content = texts.findIndex(({ latin1 }) => latin1 !== '' && !latin1.startsWith('#'));
  if (nul < 0 && (content < 0 || pairs.some((pair) => pair !== undefined))) return;
  throw new VmdkError('corrupt', 'not-a-dictionary', 'this is no text of "name = value" lines', {
    path,
    ...(nul < 0
      ? { line: content + 1, found: showText(texts[content]!.latin1) }
      : { offset: nul, found: 'a NUL byte' }),
    expected: 'lines such as displayName = "web-01"',
  });
}

function chooseEncoding(
  bytes: Uint8Array,
  pairs: readonly (TextPair | undefined)[],
  problems: DictionaryProblem[],
): string {
  // Some lose the dot when such files are copied out of a page.
  const at = pairs.findIndex((pair) => /^\.?encoding$/i.test(pair?.key ?? ''));
  const declared = at < 0 ? undefined : pairs[at]!.value;
  const canonical = declared === undefined ? undefined : canonicalEncoding(declared);
  const place = at < 0 ? {} : { line: at + 1 };
  const warn = (code: string, message: string): void =>
    void problems.push({ code, severity: 'warning', message, ...place });
  const shown = showText(declared ?? '');
  if (declared !== undefined && canonical === undefined) {
    warn('dict-encoding-unknown', `the declared encoding "${shown}" is not one we know`);
  }
  const bom = Buffer.from(bytes.subarray(0, BOM.length)).toString('latin1') === BOM;
  if (bom && canonical !== undefined && canonical !== UTF8) {
    warn('dict-encoding-bom', `"${shown}" is declared, yet the text begins as UTF-8 does: read as UTF-8`);
  }
  const wanted = bom ? UTF8 : (canonical ?? UTF8);
  if (fitsEncoding(bytes, wanted)) return wanted;
  const used = wanted !== UTF8 && fitsEncoding(bytes, UTF8) ? UTF8 : FALLBACK_ENCODING;
  const why =
    canonical === undefined && !bom
      ? 'the text is not UTF-8 and declares nothing else'
      : `the bytes do not fit the encoding ${wanted}`;
  warn('dict-encoding-lie', `${why}: read as ${used}`);
  return used;
}

function duplicate(entry: DictionaryEntry, earlier: DictionaryEntry): DictionaryProblem {
  const same =
    entry.value === earlier.value ? 'with the same value' : 'with another value: the last one counts here';
  const message = `${showText(entry.name)} stands already on line ${earlier.line}, ${same}; VMware may refuse the file ("already defined")`;
  return { code: 'dict-duplicate', severity: 'warning', message, line: entry.line };
}

function noteOddLine(
  { latin1, loneCr }: TextLine,
  pair: TextPair | undefined,
  line: number,
  problems: DictionaryProblem[],
): void {
  const warn = (code: string, message: string): void =>
    void problems.push({ code, severity: 'warning', message, line });
  if (loneCr) warn('dict-lone-cr', 'a line ends in a carriage return alone: other programs read on');
  if (pair === undefined) {
    if (latin1 !== '' && !latin1.startsWith('#'))
      warn('dict-odd-line', 'a line that is not name = "value"; it is kept');
  } else if (pair.quoting === 'unbalanced') warn('dict-unbalanced-quote', 'a quote is opened and not closed');
  else if (pair.quoting === 'doubled') warn('dict-doubled-quotes', 'quotes are doubled');
}

// Lines and `key = value` pairs of VMware's dictionary texts, found on bytes: the text is looked at one character per
// byte (Latin-1), so a Shift_JIS or GBK second byte never disturbs quoting. Nothing is thrown away: raw bytes are kept.
// Source of the grammar: open-vm-tools lib/dict/dictll.c; descriptors as met in the wild.

/** One line as it stands in the file. */
export interface TextLine {
  /** Its bytes with its line end, exactly. */
  readonly raw: Uint8Array;
  /** The same without line end, outer blanks and byte order mark, one character per byte. */
  readonly latin1: string;
  /** Where `latin1` starts in `raw`. */
  readonly start: number;
  /** Ended by a carriage return alone. */
  readonly loneCr: boolean;
}

/** How a value was quoted; all but the first two are slips. */
export type Quoting = 'bare' | 'quoted' | 'doubled' | 'unbalanced';

/** A `key = value` pair; value still one character per byte. */
export interface TextPair {
  readonly key: string;
  readonly value: string;
  readonly quoting: Quoting;
  /** Where the value, without its quotes, starts within the line's `latin1`. */
  readonly valueStart: number;
}

const BOM = '\u00ef\u00bb\u00bf';
const LINE_END = /\r\n|\n|\r/g;
// Not \s and trim(): those take the byte A0 for a blank, which is part of many a UTF-8 or Shift_JIS character.
const PAIR = /^([^ \t=#]+)[ \t]*=[ \t]*/;

/** Splits `body` at LF, CRLF and lone CR; undefined when there are more than `limit` lines. */
export function splitLines(body: Uint8Array, limit: number): TextLine[] | undefined {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  const lines: TextLine[] = [];
  let from = 0;
  const add = (end: number, next: number, loneCr: boolean): void => {
    let start = from === 0 && text.startsWith(BOM) ? BOM.length : from;
    let stop = end;
    while (start < stop && isBlank(text, start)) start++;
    while (stop > start && isBlank(text, stop - 1)) stop--;
    const latin1 = text.slice(start, stop);
    lines.push({ raw: body.subarray(from, next), latin1, start: start - from, loneCr });
    from = next;
  };
  for (const match of text.matchAll(LINE_END)) {
    if (lines.length === limit) return undefined;
    add(match.index, match.index + match[0].length, match[0] === '\r');
  }
  if (from < text.length) add(text.length, text.length, false);
  return lines.length > limit ? undefined : lines;
}

/** Reads `key = value`, `key="value" # comment` and the like; undefined when the line is no pair. */
export function parsePair(latin1: string): TextPair | undefined {
  const match = PAIR.exec(latin1);
  if (match === null) return undefined;
  const key = match[1]!;
  const rest = latin1.slice(match[0].length);
  if (!rest.startsWith('"')) {
    const comment = rest.indexOf('#');
    const value = (comment < 0 ? rest : rest.slice(0, comment)).replace(/[ \t]+$/, '');
    return { key, value, quoting: 'bare', valueStart: match[0].length };
  }
  const valueStart = match[0].length + 1;
  const close = closingQuote(rest);
  if (close === undefined) return { key, value: rest.slice(1), quoting: 'unbalanced', valueStart };
  const inner = rest.slice(1, close);
  if (inner.length >= 2 && inner.startsWith('"') && inner.endsWith('"')) {
    return { key, value: inner.slice(1, -1), quoting: 'doubled', valueStart: valueStart + 1 };
  }
  return { key, value: inner, quoting: 'quoted', valueStart };
}

/** The first quote after the opening one that only blanks and a comment follow. */
function closingQuote(rest: string): number | undefined {
  for (let at = rest.indexOf('"', 1); at > 0; at = rest.indexOf('"', at + 1)) {
    let after = at + 1;
    while (after < rest.length && isBlank(rest, after)) after++;
    if (after === rest.length || rest[after] === '#') return at;
  }
  return undefined;
}

function isBlank(text: string, at: number): boolean {
  return text[at] === ' ' || text[at] === '\t';
}

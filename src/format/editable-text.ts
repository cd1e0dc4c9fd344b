// The lines of a text while single ones change. Rule: a line that is not named stays byte for byte, and a touched one
// keeps its line end, its blanks and its quoting.
import { encodeValue } from './plain-text.ts';
import { encodeText } from './text-encoding.ts';

/** A line, and which bytes of it are the value without its quotes. */
export interface EditableLine {
  readonly raw: Uint8Array;
  /** What sort of line it is, in the words of who brought it. */
  readonly kind?: string;
  readonly key?: string;
  readonly value?: { readonly start: number; readonly end: number };
}

const QUOTE = 0x22;
/** Values that may stand without quotes. */
const BARE = /^[\w.-]+$/;

export class EditableText {
  readonly #lines: EditableLine[];
  readonly #encoding: string;
  readonly #eol: string;

  /** `encoding` is a name that `canonicalEncoding` gives. */
  constructor(lines: readonly EditableLine[], encoding: string) {
    this.#lines = [...lines];
    this.#encoding = encoding;
    this.#eol = lines.map(({ raw }) => endOf(raw)).find((eol) => eol !== '') ?? '\n';
  }

  get length(): number {
    return this.#lines.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#lines.map(({ raw }) => raw));
  }

  findFirst(test: (line: EditableLine) => boolean): number {
    return this.#lines.findIndex(test);
  }

  findLast(test: (line: EditableLine) => boolean): number {
    return this.#lines.findLastIndex(test);
  }

  /** The text of a line without line end, one character per byte. */
  latin1(at: number): string {
    const line = this.#lines[at];
    return line === undefined ? '' : Buffer.from(line.raw).toString('latin1').trim();
  }

  /** Rewrites the value of every line with this key; false when there is none. */
  replaceValue(key: string, text: string): boolean {
    const content = encodeValue(text, key, this.#encoding);
    let found = false;
    for (const [index, line] of this.#lines.entries()) {
      const { raw, value: span } = line;
      if (line.key !== key.toLowerCase() || span === undefined) continue;
      const wasBare = span.start === 0 || raw[span.start - 1] !== QUOTE;
      const quote = Buffer.from(wasBare && !BARE.test(text) ? '"' : '');
      const parts = [raw.subarray(0, span.start), quote, content, quote, raw.subarray(span.end)];
      const start = span.start + quote.length;
      const value = { start, end: start + content.length };
      this.#lines[index] = { ...line, raw: Buffer.concat(parts), value };
      found = true;
    }
    return found;
  }

  /** Puts a new line before line `at`. Values in `text` must have been checked; `key` lets later edits find it. */
  insert(at: number, text: string, key?: string): void {
    const previous = this.#lines[at - 1];
    if (previous !== undefined && endOf(previous.raw) === '') {
      this.#lines[at - 1] = { ...previous, raw: Buffer.concat([previous.raw, Buffer.from(this.#eol)]) };
    }
    const raw = this.#encode(text + this.#eol);
    this.#lines.splice(at, 0, key === undefined ? { raw } : { raw, key: key.toLowerCase() });
  }

  /** Replaces a whole line, except its line end. */
  rewrite(at: number, text: string): void {
    const { raw, ...rest } = this.#lines[at]!;
    this.#lines[at] = { ...rest, raw: this.#encode(text + endOf(raw)) };
  }

  remove(at: number): void {
    this.#lines.splice(at, 1);
  }

  #encode(line: string): Buffer {
    const bytes = encodeText(line, this.#encoding);
    if (bytes !== undefined) return bytes;
    // Says which value cannot be written, in the words of a name.
    return encodeValue(line.replaceAll(/["\r\n]/g, ''), 'line', this.#encoding);
  }
}

function endOf(raw: Uint8Array): string {
  const [before, last] = [raw[raw.length - 2], raw[raw.length - 1]];
  if (last === 0x0a) return before === 0x0d ? '\r\n' : '\n';
  return last === 0x0d ? '\r' : '';
}

// The parts of reading a descriptor: its lines, encoding, extents and keys, each with what is odd about it.
// Rule: structure is found on bytes, only values are decoded, and no line is dropped.
import type { RulePair, RuleProblem } from './descriptor-rules.ts';
import { looksLikeExtent, parseExtentLine, type ExtentFields } from './extent-line.ts';
import { canonicalEncoding, FALLBACK_ENCODING, fitsEncoding } from './text-encoding.ts';
import { parsePair, type TextLine, type TextPair } from './text-lines.ts';

/** One line, byte-exact: `raw` includes its line end. */
export interface ReadLine {
  readonly raw: Uint8Array;
  readonly kind: 'blank' | 'comment' | 'extent' | 'pair' | 'other';
  /** Of a pair: its key in lower case, and which bytes of `raw` are the value without its quotes. */
  readonly key?: string;
  readonly value?: { readonly start: number; readonly end: number };
}

/** What an extent line says, and on which line, counted from 1. */
export type ReadExtent = ExtentFields & { readonly line: number };

/** A pair, and on which line. */
export interface LinePair extends TextPair {
  readonly line: number;
}

export function readLines(textLines: readonly TextLine[]): { lines: ReadLine[]; pairs: LinePair[] } {
  const pairs: LinePair[] = [];
  const lines = textLines.map(({ raw, latin1, start }, index): ReadLine => {
    if (latin1 === '') return { raw, kind: 'blank' };
    if (latin1.startsWith('#')) return { raw, kind: 'comment' };
    if (looksLikeExtent(latin1)) return { raw, kind: 'extent' };
    const pair = parsePair(latin1);
    if (pair === undefined) return { raw, kind: 'other' };
    pairs.push({ ...pair, line: index + 1 });
    const from = start + pair.valueStart;
    return {
      raw,
      kind: 'pair',
      key: pair.key.toLowerCase(),
      value: { start: from, end: from + pair.value.length },
    };
  });
  return { lines, pairs };
}

/** The header's declaration counts before the disk database's. */
export function chooseEncoding(
  body: Uint8Array,
  pairs: readonly LinePair[],
  problems: RuleProblem[],
): { declared: string; used: string } {
  const find = (key: string) => pairs.find((pair) => pair.key.toLowerCase() === key && pair.value !== '');
  const [inHeader, inDdb] = [find('encoding'), find('ddb.encoding')];
  const declaration = inHeader ?? inDdb;
  const place = declaration === undefined ? {} : { line: declaration.line, found: declaration.value };
  const canonical = canonicalEncoding(declaration?.value ?? 'utf-8');
  const declared = declaration?.value ?? 'UTF-8';
  const warn = (code: string, message: string): void =>
    void problems.push({ code, severity: 'warning', message, ...place });
  if (inHeader !== undefined && inDdb !== undefined && canonical !== canonicalEncoding(inDdb.value)) {
    warn('desc-encoding-conflict', `the header and the disk database declare different encodings`);
  }
  if (canonical === undefined) warn('desc-encoding-unknown', 'the declared encoding is not one we know');
  const wanted = canonical ?? 'utf-8';
  if (fitsEncoding(body, wanted)) return { declared, used: wanted };
  if (declaration === undefined) {
    warn(
      'desc-encoding-undeclared',
      `the text is not UTF-8 and declares no encoding: read as ${FALLBACK_ENCODING}`,
    );
  } else {
    warn('desc-encoding-lie', `the bytes do not fit the declared encoding: read as ${FALLBACK_ENCODING}`);
  }
  return { declared, used: FALLBACK_ENCODING };
}

export function readExtents(
  lines: readonly ReadLine[],
  textLines: readonly TextLine[],
  decode: (latin1: string) => string,
  problems: RuleProblem[],
): ReadExtent[] {
  const extents: ReadExtent[] = [];
  for (const [index, { kind }] of lines.entries()) {
    if (kind !== 'extent') continue;
    const line = index + 1;
    const { extent, slips } = parseExtentLine(textLines[index]!.latin1);
    for (const slip of slips) {
      problems.push({ ...slip, line, ...(slip.found === undefined ? {} : { found: decode(slip.found) }) });
    }
    if (extent === undefined) continue;
    const fileName = extent.fileName === undefined ? undefined : decode(extent.fileName);
    extents.push({ ...extent, fileName, line });
  }
  return extents;
}

/** Values by lower-case key, in order of appearance; quoting slips become problems. */
export function groupPairs(
  pairs: readonly LinePair[],
  decode: (latin1: string) => string,
  problems: RuleProblem[],
): Map<string, RulePair[]> {
  const values = new Map<string, RulePair[]>();
  for (const { key, value, quoting, line } of pairs) {
    const lowerKey = key.toLowerCase();
    const entry: RulePair = { line, value: decode(value) };
    const group = values.get(lowerKey);
    if (group === undefined) values.set(lowerKey, [entry]);
    else group.push(entry);
    if (quoting === 'bare' || quoting === 'quoted') continue;
    const doubled = quoting === 'doubled';
    problems.push({
      code: doubled ? 'desc-doubled-quotes' : 'desc-unbalanced-quote',
      severity: 'error',
      line,
      message: doubled
        ? `quotes are doubled, as spreadsheet programs do on export`
        : 'a quote is opened and not closed',
      found: doubled ? `""${entry.value}""` : `"${entry.value}`,
      expected: `"${entry.value}"`,
    });
  }
  return values;
}

export function noteOddLine(line: ReadLine, text: TextLine, number: number, problems: RuleProblem[]): void {
  if (text.loneCr) {
    const message = 'a line ends in a carriage return alone: other programs read on';
    problems.push({ code: 'desc-lone-cr', severity: 'warning', line: number, message });
  }
  if (line.kind !== 'other') return;
  const message = 'a line that means nothing to us: a comment without its #?';
  problems.push({ code: 'desc-odd-line', severity: 'warning', line: number, message, found: text.latin1 });
}

export function noteTail(
  text: Uint8Array,
  body: Uint8Array,
  lineCount: number,
  problems: RuleProblem[],
): void {
  const tail = Buffer.from(text.subarray(body.length));
  if (tail.length === 0) return;
  const rest = withoutNuls(tail);
  if (rest.length > 0 && !isLeftByQemu(rest, body)) {
    const message = 'the text ends at a NUL, and other bytes follow: they are not read';
    problems.push({ code: 'desc-bytes-after-nul', severity: 'warning', line: lineCount, message });
    return;
  }
  const left = rest.length === 0 ? '' : `, among them ${rest.length} that an older, longer CID left behind`;
  const message = `the text is followed by ${tail.length} ${left === '' ? 'NUL ' : ''}bytes${left}`;
  problems.push({ code: 'desc-nul-tail', severity: 'info', line: lineCount, message });
}

/** What stands between the first NUL and the last ones. */
function withoutNuls(tail: Buffer): Buffer {
  // Nearly always all of it is NUL; one comparison of the whole costs less than a walk through the bytes.
  if (tail.equals(Buffer.alloc(tail.length))) return tail.subarray(1, 1);
  let end = tail.length;
  while (end > 1 && tail[end - 1] === 0) end--;
  return tail.subarray(1, end);
}

/** A shorter CID moves the text of QEMU forward; of the old text the last few bytes stay, which end the new one too. */
function isLeftByQemu(rest: Buffer, body: Uint8Array): boolean {
  return rest.length < 8 && rest.equals(body.subarray(body.length - rest.length));
}

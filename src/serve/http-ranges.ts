// What a request's conditions and ranges come to (RFC 9110, 13 and 14), as a value: the status to answer with, and
// which bytes. Pure, and the same for whoever asks.

/** Bytes `start` to `end`, the latter not included. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

export type Selection =
  | { readonly status: 200 | 206; readonly spans: readonly [ByteSpan, ...ByteSpan[]] }
  /** Nothing of the content: not changed, a condition that does not hold, ranges that cannot be. */
  | { readonly status: 304 | 412 | 416 };

/** The headers that count, as Node gives them. */
export interface RequestConditions {
  readonly range?: string | undefined;
  readonly 'if-match'?: string | undefined;
  readonly 'if-none-match'?: string | undefined;
  readonly 'if-range'?: string | string[] | undefined;
}

/** More of them in one request are refused, as are ranges that lie over one another. */
const MOST_SPANS = 32;
/** A longer list of them is not looked at. */
const LONGEST_HEADER = 4096;

/**
 * `size` is that of the content, which is not empty; `tag` its ETag, undefined while it may change under every answer.
 */
export function selectBytes(
  { range, ...conditions }: RequestConditions,
  size: number,
  tag: string | undefined,
  method: 'GET' | 'HEAD',
): Selection {
  const { 'if-match': match, 'if-none-match': noneMatch, 'if-range': ifRange } = conditions;
  if (match !== undefined && !namesTag(match, tag, 'strong')) return { status: 412 };
  if (noneMatch !== undefined && namesTag(noneMatch, tag, 'weak')) return { status: 304 };
  const whole: Selection = { status: 200, spans: [{ start: 0, end: size }] };
  if (method === 'HEAD' || range === undefined) return whole;
  // A date is never strong enough here: without a tag that fits, all of it is sent.
  if (ifRange !== undefined && (tag === undefined || ifRange !== tag)) return whole;
  const spans = parseRange(range, size);
  if (spans === undefined) return whole;
  const [first, ...rest] = spans;
  if (first === undefined || spans.length > MOST_SPANS || overlap(spans)) return { status: 416 };
  return { status: 206, spans: [first, ...rest] };
}

/** The spans that lie within the content; undefined for what is no list of byte ranges, which is passed over. */
function parseRange(text: string, size: number): ByteSpan[] | undefined {
  const list = /^bytes\s*=\s*(.+)$/i.exec(text)?.[1];
  if (list === undefined || text.length > LONGEST_HEADER) return undefined;
  const spans: ByteSpan[] = [];
  for (const part of list.split(',')) {
    const [, first, last] = /^\s*(\d*)-(\d*)\s*$/.exec(part) ?? [];
    if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
    if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
    const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
    const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size);
    if (start < end) spans.push({ start, end });
  }
  return spans;
}

function overlap(spans: readonly ByteSpan[]): boolean {
  const sorted = [...spans].sort((a, b) => a.start - b.start);
  return sorted.some(({ start }, index) => index > 0 && start < sorted[index - 1]!.end);
}

/** Whether a list of tags, or `*`, names this one. */
function namesTag(list: string, tag: string | undefined, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  if (tag === undefined) return false;
  const tags = list.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((each) => (comparison === 'weak' ? each.replace(/^W\//, '') : each) === tag);
}

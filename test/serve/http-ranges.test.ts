// Conditions and ranges of a request, against RFC 9110: what is sent, in which status, whatever is asked.
import { describe, expect, it } from 'vitest';
import { selectBytes, type RequestConditions } from '../../src/serve/http-ranges.ts';

const SIZE = 1000;
const TAG = '"abc"';
const select = (headers: RequestConditions, tag: string | undefined = TAG) =>
  selectBytes(headers, SIZE, tag, 'GET');
const whole = { status: 200, spans: [{ start: 0, end: SIZE }] };
const part = (...spans: [number, number][]) => ({
  status: 206,
  spans: spans.map(([start, end]) => ({ start, end })),
});

describe('ranges', () => {
  it.each<[string, unknown]>([
    ['bytes=0-0', part([0, 1])],
    ['bytes=0-999', part([0, SIZE])],
    ['bytes=500-', part([500, SIZE])],
    ['bytes=990-5000', part([990, SIZE])],
    ['bytes=-10', part([990, SIZE])],
    ['bytes=-5000', part([0, SIZE])],
    ['Bytes = 1-2', part([1, 3])],
    ['bytes=0-9, 20-29,-5', part([0, 10], [20, 30], [995, SIZE])],
    ['bytes=20-29,0-9', part([20, 30], [0, 10])],
    ['bytes=0-9,5000-', part([0, 10])],
    ['bytes=1000-', { status: 416 }],
    ['bytes=-0', { status: 416 }],
    ['bytes=5000-6000,7000-', { status: 416 }],
    ['bytes=0-9,5-14', { status: 416 }],
    ['bytes=0-,0-,0-', { status: 416 }],
    [
      `bytes=${Array.from({ length: 33 }, (_, index) => `${index * 2}-${index * 2}`).join(',')}`,
      { status: 416 },
    ],
    ['bytes=9-1', whole],
    ['bytes=-', whole],
    ['bytes=', whole],
    ['bytes=a-b', whole],
    ['bytes=0x1-2', whole],
    ['bytes=1-2,x', whole],
    ['bytes=99999999999999999-', { status: 416 }],
    ['bytes=500-18446744073709551615', part([500, SIZE])],
    ['lines=1-2', whole],
    [`bytes=0-9${',10-11'.repeat(2000)}`, whole],
  ])('%s', (range, expected) => expect(select({ range })).toEqual(expected));

  it('are for GET alone', () => {
    expect(selectBytes({ range: 'bytes=0-0' }, SIZE, TAG, 'HEAD')).toEqual(whole);
  });
});

describe('conditions', () => {
  const range = 'bytes=0-0';
  it.each<[RequestConditions, string | undefined, unknown]>([
    [{ 'if-none-match': TAG }, TAG, { status: 304 }],
    [{ 'if-none-match': `"x", W/${TAG}` }, TAG, { status: 304 }],
    [{ 'if-none-match': '*' }, TAG, { status: 304 }],
    [{ 'if-none-match': '"x"' }, TAG, whole],
    [{ 'if-none-match': TAG }, undefined, whole],
    [{ 'if-match': TAG, range }, TAG, part([0, 1])],
    [{ 'if-match': '*', range }, TAG, part([0, 1])],
    [{ 'if-match': `W/${TAG}`, range }, TAG, { status: 412 }],
    [{ 'if-match': '"x"', 'if-none-match': TAG }, TAG, { status: 412 }],
    [{ 'if-match': TAG }, undefined, { status: 412 }],
    [{ 'if-range': TAG, range }, TAG, part([0, 1])],
    [{ 'if-range': '"x"', range }, TAG, whole],
    [{ 'if-range': `W/${TAG}`, range }, TAG, whole],
    [{ 'if-range': 'Wed, 01 May 2024 10:00:00 GMT', range }, TAG, whole],
    [{ 'if-range': TAG, range }, undefined, whole],
    [{ 'if-range': TAG, range: 'bytes=5000-' }, TAG, { status: 416 }],
  ])('%j with the tag %s', (headers, tag, expected) => {
    expect(selectBytes(headers, SIZE, tag, 'GET')).toEqual(expected);
  });
});

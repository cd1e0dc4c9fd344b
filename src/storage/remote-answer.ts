// What a server's answer to a ranged request means: the range it holds and the object it is part of, or the error that
// says why it is of no use. Rule: bytes are taken only with proof of where they belong and of which object they are.
import { VmdkError } from '../core/errors.ts';

/** What pins an object: an answer that differs in any of these is of another object. */
export interface RemoteFacts {
  /** Bytes. */
  readonly size: number;
  /** As the server writes it, weak ones with `W/`. */
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** The part of fetch's Response that is read. */
export interface RemoteAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array> | null;
}

/** A failure that the next attempt may not meet; `after` is how long the server asks to wait, in ms. */
export interface Passing {
  readonly passing: VmdkError;
  readonly after: number | undefined;
}

/** The bytes `start` to `end`, the latter not included, of the object `facts`. */
export interface AnsweredRange {
  readonly facts: RemoteFacts;
  readonly start: number;
  readonly end: number;
}

export interface AskedRange {
  readonly url: string;
  readonly start: number;
  /** Not included; the object may end before it. */
  readonly end: number;
}

const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Reads status and headers. @throws VmdkError for what no further attempt would mend. */
export function judgeAnswer(answer: RemoteAnswer, asked: AskedRange): AnsweredRange | Passing {
  const { status, headers } = answer;
  const { url } = asked;
  if (status === 206) return judgePart(headers, asked);
  if (status === 416) return judgeEmpty(headers, asked);
  if (PASSING_STATUSES.has(status)) {
    return { passing: remoteFailed(url, `HTTP status ${status}`), after: retryAfter(headers) };
  }
  const found = `HTTP status ${status}`;
  if (status === 200) {
    throw new VmdkError('unsupported', 'remote-no-ranges', 'the server does not answer for ranges', {
      path: url,
      found: `${found}: the whole of it`,
      expected: 'HTTP status 206: the bytes asked for',
      hint: 'Put the disk on a server that does (nginx, Apache, S3 and most others do), or copy it here.',
    });
  }
  if (status >= 300 && status < 400 && status !== 304) throw redirected(headers, url, found);
  if (status === 404 || status === 410) {
    throw new VmdkError('missing', 'file-missing', 'cannot open: there is no such file', {
      path: url,
      found,
    });
  }
  if (status === 401 || status === 403) {
    throw new VmdkError('io', 'file-not-readable', 'cannot open: permission is denied', { path: url, found });
  }
  if (status === 412) throw remoteChanged(url, found, 'the object that was opened');
  throw remoteFailed(url, found);
}

/** @throws VmdkError `remote-changed` unless both are the same object. */
export function assertSameObject(url: string, opened: RemoteFacts, now: RemoteFacts): void {
  const differs = difference(opened, now);
  if (differs === undefined) return;
  const words = { etag: 'ETag', lastModified: 'Last-Modified', size: 'length' };
  const show = (facts: RemoteFacts): string => `${words[differs]} ${facts[differs] ?? '(none)'}`;
  throw remoteChanged(url, show(now), show(opened));
}

export function isSameObject(opened: RemoteFacts, now: RemoteFacts): boolean {
  return difference(opened, now) === undefined;
}

function difference(opened: RemoteFacts, now: RemoteFacts): keyof RemoteFacts | undefined {
  // Servers that stand in for one another agree on the tag, not always on the time.
  const names =
    strongTag(opened) === undefined
      ? (['etag', 'lastModified', 'size'] as const)
      : (['etag', 'size'] as const);
  return names.find((name) => opened[name] !== now[name]);
}

/** An ETag that promises equal bytes: weak ones do not, and cannot be asked for. */
export function strongTag({ etag }: RemoteFacts): string | undefined {
  return etag === undefined || etag.startsWith('W/') ? undefined : etag;
}

export function remoteFailed(url: string, found: string, cause?: unknown): VmdkError {
  return new VmdkError('io', 'remote-failed', 'cannot read over the network', { path: url, found }, cause);
}

function judgePart(headers: RemoteAnswer['headers'], { url, start, end }: AskedRange): AnsweredRange {
  const text = headers.get('content-range') ?? '';
  const [, first = '', last = '', total = ''] = /^bytes (\d+)-(\d+)\/(\d+)$/i.exec(text.trim()) ?? [];
  const range = { start: Number(first), end: Number(last) + 1 };
  const size = Number(total);
  const fits =
    total !== '' &&
    Number.isSafeInteger(size) &&
    range.start === start &&
    range.end === Math.min(end, size) &&
    range.end > range.start;
  const coding = headers.get('content-encoding') ?? 'identity';
  if (!fits || coding !== 'identity') {
    throw new VmdkError(
      'io',
      'remote-wrong-range',
      'the server answered with other bytes than were asked for',
      {
        path: url,
        offset: start,
        found: coding === 'identity' ? `Content-Range "${text.slice(0, 80)}"` : `Content-Encoding ${coding}`,
        expected: `bytes ${start}-${end - 1} of the object as it is`,
      },
    );
  }
  return { facts: factsOf(headers, size, url), ...range };
}

/** Nothing lies at the range: the object is empty, or shorter than it was. */
function judgeEmpty(headers: RemoteAnswer['headers'], { url, start }: AskedRange): AnsweredRange {
  const size = /^bytes \*\/(\d+)$/i.exec((headers.get('content-range') ?? '').trim())?.[1];
  // It refuses what it says is there.
  if (size !== undefined && Number(size) > start) throw remoteFailed(url, `HTTP status 416 of ${size} bytes`);
  if (start !== 0) throw remoteChanged(url, `${size ?? 'fewer'} bytes`, `more than ${start}`);
  if (size !== '0') throw remoteFailed(url, 'HTTP status 416');
  return { facts: { size: 0, etag: undefined, lastModified: undefined }, start: 0, end: 0 };
}

function factsOf(headers: RemoteAnswer['headers'], size: number, url: string): RemoteFacts {
  const etag = headers.get('etag') ?? undefined;
  const lastModified = headers.get('last-modified') ?? undefined;
  if (etag !== undefined || lastModified !== undefined) return { size, etag, lastModified };
  throw new VmdkError('unsupported', 'remote-not-pinned', 'a change of it would go unnoticed', {
    path: url,
    found: 'neither ETag nor Last-Modified',
    expected: 'one of them in every answer',
    hint: 'Put the disk on a server that sends one (nginx, Apache, S3 and most others do), or copy it here.',
  });
}

function remoteChanged(url: string, found: string, expected: string): VmdkError {
  return new VmdkError('io', 'remote-changed', 'changed while it was read', {
    path: url,
    found,
    expected,
    hint: 'Nothing of the new state was mixed with the old. A disk that others stand on must not change: run again once it is what it was.',
  });
}

function redirected(headers: RemoteAnswer['headers'], url: string, found: string): VmdkError {
  const region = headers.get('x-amz-bucket-region');
  const location = headers.get('location');
  return new VmdkError('refused', 'remote-redirect', 'leads elsewhere, and redirects are not followed', {
    path: url,
    found: location === null ? found : `${found} to ${location.replace(/[?#].*$/s, '?…').slice(0, 300)}`,
    hint:
      region === null
        ? 'If it may be read there, name that place, and allow it with --allow-origin.'
        : `The bucket is in another region: set AWS_REGION=${region}.`,
  });
}

/** Seconds or a date, in ms from now. */
function retryAfter(headers: RemoteAnswer['headers']): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const wait = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) && wait > 0 ? wait : undefined;
}

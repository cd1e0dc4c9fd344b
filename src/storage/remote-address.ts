// Which URLs may be read, and in which one spelling. A URL is taken apart, judged and put together again before it is
// compared or asked for, so that what was judged is what is fetched. Nothing here touches the network.
import { usageError, VmdkError } from '../core/errors.ts';
import { encoded, isUrl } from './place-names.ts';
import { legible } from './store-errors.ts';

export interface RemoteAddress {
  readonly scheme: 'http' | 'https' | 's3';
  /** Host and port, or the bucket. */
  readonly host: string;
  /** The parts of the path, encoded. */
  readonly segments: readonly string[];
  /** The one spelling of all of it. */
  readonly url: string;
}

/** Longer ones are no names of files. */
const MOST_CHARACTERS = 2048;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

/** @throws VmdkError `url-refused` for what could mean more than one thing, or carries more than a place. */
export function parseRemoteUrl(text: string): RemoteAddress {
  const refuse = (found: string): VmdkError =>
    new VmdkError('refused', 'url-refused', `the URL "${shown(text)}" is not read`, {
      found,
      expected: 'http://HOST/PATH, https://HOST/PATH or s3://BUCKET/KEY, and no more than that',
    });
  if (!isUrl(text)) throw refuse('another scheme, or none');
  if (text.length > MOST_CHARACTERS) throw refuse(`${text.length} characters`);
  if (/[\\\p{Cc}\p{Cf}]/u.test(text)) throw refuse('a backslash or a control character');
  const [, scheme = '', host = '', path = ''] = /^([a-z0-9]+):\/\/([^/?#]*)(.*)$/i.exec(text) ?? [];
  if (/[?#]/.test(path)) throw refuse('a query or a fragment');
  if (host.includes('@')) throw refuse('a user name or a password');
  const name = scheme.toLowerCase() as RemoteAddress['scheme'];
  const authority = name === 's3' ? bucketOf(host) : hostOf(name, host);
  if (authority === undefined) throw refuse(name === 's3' ? 'no name of a bucket' : 'no host');
  const segments: string[] = [];
  for (const raw of path.split('/')) {
    if (raw === '') continue;
    const segment = decodedOrUndefined(raw);
    if (segment === undefined) throw refuse('a % that encodes nothing');
    if (/[/\\\0]/.test(segment)) throw refuse('an encoded separator');
    if (segment === '.' || segment === '..') throw refuse('a path that climbs');
    segments.push(encoded(segment));
  }
  const url = [`${name}://${authority}`, ...segments].join('/');
  return { scheme: name, host: authority, segments, url };
}

/** What the caller allowed: each a prefix of URLs, part by part. */
export interface AllowedOrigins {
  /** @throws VmdkError `url-refused`, `origin-not-allowed`. */
  assertAllowed(url: string): RemoteAddress;
}

/** @throws VmdkError `usage` for a prefix that is no URL. */
export function allowedOrigins(prefixes: readonly string[]): AllowedOrigins {
  const allowed = prefixes.map(parsePrefix);
  return {
    assertAllowed: (url) => {
      const address = parseRemoteUrl(url);
      if (allowed.some((prefix) => isBelow(prefix, address))) return address;
      throw originNotAllowed(address.url, allowed);
    },
  };
}

/** For a URL that may not be read; nothing was asked of anybody. */
export function originNotAllowed(url: string, allowed: readonly { readonly url: string }[] = []): VmdkError {
  const folder = url.slice(0, Math.max(url.lastIndexOf('/'), 0));
  const prefix = isUrl(folder) ? folder : url;
  return new VmdkError('refused', 'origin-not-allowed', `may not be read over the network`, {
    path: shown(url),
    ...(allowed.length === 0
      ? {}
      : { expected: `a URL below ${allowed.map((each) => each.url).join(' or ')}` }),
    hint: `To trust what lies there, allow it: --allow-origin ${shown(prefix)}`,
  });
}

/** Before something is changed. @throws VmdkError `remote-read-only` for a URL. */
export function assertHere(path: string): void {
  if (isUrl(path)) throw remoteReadOnly(path);
}

/** For a place that is listed or written to; `what` says which. @throws VmdkError `remote-read-only` for a URL. */
export function assertNoUrl(path: string, what: string): void {
  if (!isUrl(path)) return;
  throw new VmdkError('refused', 'remote-read-only', `${what} must be on this machine`, {
    path: shown(path),
    found: 'a URL',
    expected: 'a file or folder here',
    hint: 'What lies elsewhere is read file by file: it is never written, and no folder there is listed.',
  });
}

export function remoteReadOnly(url: string): VmdkError {
  return new VmdkError('refused', 'remote-read-only', 'a remote file is only read', {
    path: shown(url),
    hint: 'Write into a delta above it: vmdkit create DELTA --backing URL.',
  });
}

function parsePrefix(text: string): RemoteAddress {
  try {
    return parseRemoteUrl(text);
  } catch (error) {
    const why = error instanceof VmdkError ? error.context.found : undefined;
    throw usageError(
      `--allow-origin ${shown(text)}: this is no prefix of URLs${why === undefined ? '' : ` (${why})`}`,
      'For example: --allow-origin https://store.example/golden, --allow-origin s3://bucket/golden',
    );
  }
}

function isBelow(prefix: RemoteAddress, { scheme, host, segments }: RemoteAddress): boolean {
  if (prefix.scheme !== scheme || prefix.host !== host) return false;
  return prefix.segments.every((segment, index) => segments[index] === segment);
}

function bucketOf(host: string): string | undefined {
  return BUCKET.test(host) && !host.includes('..') ? host : undefined;
}

/** As fetch will understand it: lower case, numbers of addresses in their usual form, no default port. */
function hostOf(scheme: string, host: string): string | undefined {
  if (host === '' || !URL.canParse(`${scheme}://${host}/`)) return undefined;
  const parsed = new URL(`${scheme}://${host}/`);
  return parsed.pathname === '/' && parsed.hostname !== '' ? parsed.host : undefined;
}

function decodedOrUndefined(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** Without what may be a secret, for messages. */
function shown(url: string): string {
  return legible(url.replace(/\/\/[^/?#]*@/, '//…@').replace(/[?#].*$/s, '?…'));
}

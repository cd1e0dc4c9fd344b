// Names of files that may be URLs: folder, last part and joining for both, since `posix.join` would bend a URL into a
// path. What is joined to a URL is a file name: it is percent-encoded, so that no name can become a query or a host.
import { posix } from 'node:path';

/** The schemes that a store may read; what else looks like a URL is left alone, and refused elsewhere. */
const URL_NAME = /^(https?|s3):\/\/([^/?#]*)/i;

export function isUrl(name: string): boolean {
  return URL_NAME.test(name);
}

/** The folder that holds it; of a URL without a path, the URL. */
export function dirname(place: string): string {
  const host = hostOf(place);
  if (host === undefined) return posix.dirname(place);
  return placed(host, segmentsOf(place, host).slice(0, -1));
}

/** The last part, decoded. */
export function basename(place: string): string {
  const host = hostOf(place);
  if (host === undefined) return posix.basename(place);
  return decoded(segmentsOf(place, host).at(-1) ?? '');
}

/** `name` as seen from `folder`; a name that is a URL stands for itself. In a URL a backslash is a slash. */
export function join(folder: string, ...names: readonly string[]): string {
  const whole = names.findLast(isUrl);
  if (whole !== undefined) return join(whole, ...names.slice(names.lastIndexOf(whole) + 1));
  const host = hostOf(folder);
  if (host === undefined) return posix.join(folder, ...names);
  const segments = segmentsOf(folder, host);
  for (const segment of names.flatMap((name) => name.split(/[/\\]/))) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(encoded(segment));
  }
  return placed(host, segments);
}

export function isAbsolute(name: string): boolean {
  return isUrl(name) || posix.isAbsolute(name);
}

/** One part of a path as it stands in a URL: everything but unreserved characters is encoded. */
export function encoded(segment: string): string {
  // Through UTF-8 and back, since half a surrogate pair cannot be encoded.
  return encodeURIComponent(Buffer.from(segment).toString()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** `https://host:port`; undefined for what is no URL. */
function hostOf(place: string): string | undefined {
  return URL_NAME.exec(place)?.[0];
}

function segmentsOf(url: string, host: string): string[] {
  return url
    .slice(host.length)
    .split('/')
    .filter((segment) => segment !== '');
}

function placed(host: string, segments: readonly string[]): string {
  return [host, ...segments].join('/');
}

// NBD URIs (NetworkBlockDevice/nbd, doc/uri.md) to addresses and back: `nbd://HOST:PORT/EXPORT`,
// `nbd+unix:///EXPORT?socket=PATH`, each with `nbds` for TLS.
import { usageError } from '../core/errors.ts';

export type NbdAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export interface NbdUri {
  /** Undefined for a Unix socket whose place is not said. */
  readonly address: NbdAddress | undefined;
  readonly tls: boolean;
  /** Empty for the default export. */
  readonly exportName: string;
}

export const NBD_PORT = 10_809;
const LOOPBACK = '127.0.0.1';

/** Takes a URI, or the path of a Unix socket. @throws VmdkError `usage`. */
export function parseNbdUri(text: string): NbdUri {
  if (text.startsWith('/') || text.startsWith('./')) {
    return { address: { kind: 'unix', path: text }, tls: false, exportName: '' };
  }
  const scheme = /^(nbds?)(\+unix)?:\/\//.exec(text);
  if (scheme === null || !URL.canParse(text)) throw noUri(text);
  const url = new URL(text);
  const tls = scheme[1] === 'nbds';
  const exportName = decoded(url.pathname.replace(/^\//, ''), text);
  if (scheme[2] !== undefined) {
    if (url.host !== '') throw noUri(text);
    const path = url.searchParams.get('socket');
    return { address: path === null ? undefined : { kind: 'unix', path }, tls, exportName };
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? NBD_PORT : Number(url.port);
  return { address: { kind: 'tcp', host: host === '' ? LOOPBACK : host, port }, tls, exportName };
}

export function printNbdUri(address: NbdAddress, tls: boolean, exportName = ''): string {
  const scheme = tls ? 'nbds' : 'nbd';
  const name = encoded(exportName);
  if (address.kind === 'unix') return `${scheme}+unix:///${name}?socket=${encoded(address.path)}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const port = address.port === NBD_PORT ? '' : `:${address.port}`;
  return `${scheme}://${host}${port}/${name}`;
}

/** Only this machine can reach it. */
export function isLocal(address: NbdAddress): boolean {
  return address.kind === 'unix' || /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address.host);
}

/** Slashes stay: names of exports and sockets are full of them. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll('%2F', '/');
}

function decoded(text: string, uri: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw noUri(uri);
  }
}

function noUri(text: string): Error {
  return usageError(
    `"${text}" is no place to serve at`,
    'For example: nbd://localhost:10809, nbd+unix:///?socket=/run/disk.sock, or the path of a socket.',
  );
}

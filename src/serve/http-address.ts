// Where an HTTP server listens, as text and back, and whether a request was meant for it. A server on the loopback answers
// only to names of the loopback: else any page that a browser here shows could have its own name lead to it.
import { usageError } from '../core/errors.ts';
import { isLocal } from './nbd-uri.ts';

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

const LOOPBACK = '127.0.0.1';

/** `8080`, `:8080`, `localhost:8080`, `[::1]:8080`, `http://0.0.0.0:8080`: the loopback unless a host is named. @throws VmdkError `usage`. */
export function parseHttpAddress(text: string): HttpAddress {
  const place = text.replace(/^https?:\/\//i, '').replace(/\/$/, '');
  const [, host = '', port = ''] = /^(?:(\[[0-9a-f:.]+\]|[a-z0-9.-]*):)?(\d{1,5})$/i.exec(place) ?? [];
  if (port !== '' && Number(port) <= 65_535) {
    return { host: host.replace(/^\[(.*)\]$/, '$1') || LOOPBACK, port: Number(port) };
  }
  throw usageError(
    `"${text}" is no place to serve at`,
    'For example: --http 8080, --http localhost:8080, --http 0.0.0.0:8080.',
  );
}

export function printHttpUri({ host, port }: HttpAddress, secure: boolean, path: string): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return `${secure ? 'https' : 'http'}://${name}:${port}${path}`;
}

/** Only this machine can reach it. */
export function isLoopback({ host, port }: HttpAddress): boolean {
  return isLocal({ kind: 'tcp', host, port });
}

/** `header` is the Host of a request. */
export function isAddressedTo(header: string | undefined, address: HttpAddress): boolean {
  if (!isLoopback(address)) return true;
  const host = (header ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  return isLoopback({ host: host.toLowerCase(), port: address.port });
}

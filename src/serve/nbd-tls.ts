// TLS for clients: certificates from a folder, laid out as nbdkit, QEMU and libnbd have them, and the upgrade of an NBD
// connection in its middle.
import { createServer, type TlsOptions } from 'node:tls';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { TlsUpgrade } from './nbd-handshake.ts';
import { NbdWire, WireClosedError } from './nbd-wire.ts';

export interface ServerTls {
  /** Folder with server-cert.pem and server-key.pem, and ca-cert.pem where clients are verified. */
  readonly certificates: string;
  /** Default true: a client that does not begin TLS gets nothing. */
  readonly required?: boolean | undefined;
  /** Only clients with a certificate by the authority of ca-cert.pem. Default false. */
  readonly verifyClients?: boolean | undefined;
}

const LONGEST_PEM = 2 ** 20;

/** @throws VmdkError `file-missing`, `bad-certificates`. */
export async function loadTls(store: FileStore, options: ServerTls): Promise<TlsUpgrade> {
  const settings: TlsOptions = { ...(await loadTlsSettings(store, options)), allowHalfOpen: true };
  return { required: options.required ?? true, upgrade: (wire) => upgrade(wire, settings) };
}

/** What a server with these certificates is made with. @throws VmdkError `file-missing`, `bad-certificates`. */
export async function loadTlsSettings(store: FileStore, options: ServerTls): Promise<TlsOptions> {
  const { certificates, verifyClients = false } = options;
  const load = (name: string): Promise<Buffer> => readWhole(store, `${certificates}/${name}`);
  const settings: TlsOptions = {
    cert: await load('server-cert.pem'),
    key: await load('server-key.pem'),
    ...(verifyClients ? { ca: await load('ca-cert.pem'), requestCert: true, rejectUnauthorized: true } : {}),
    minVersion: 'TLSv1.2',
  };
  try {
    createServer(settings);
  } catch (error) {
    throw new VmdkError(
      'usage',
      'bad-certificates',
      'the certificate and its key cannot be used',
      { path: certificates, found: error instanceof Error ? error.message : String(error) },
      error,
    );
  }
  return settings;
}

/** A server of its own for each connection: only so the verdict on a client's certificate belongs to it. */
function upgrade(wire: NbdWire, settings: TlsOptions): Promise<NbdWire> {
  const socket = wire.release();
  return new Promise((resolve, reject) => {
    const server = createServer(settings, (secure) => resolve(new NbdWire(secure)));
    server.once('tlsClientError', reject);
    void wire.whenClosed.then(() => reject(new WireClosedError('TLS was not agreed on')));
    server.emit('connection', socket);
  });
}

async function readWhole(store: FileStore, path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  try {
    const size = await file.size();
    if (size > LONGEST_PEM) {
      throw new VmdkError('usage', 'bad-certificates', 'the file is too long for a certificate or a key', {
        path,
        found: `${size} bytes`,
      });
    }
    const bytes = Buffer.alloc(size);
    await file.readExactly(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}

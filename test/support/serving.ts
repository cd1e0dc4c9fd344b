// A server in this very process over disks in memory, with everything that happened on it.
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { openExports } from '../../src/serve/exports.ts';
import type { ExportSet, ServeOptions } from '../../src/serve/export-types.ts';
import {
  serveNbd,
  type NbdEvent,
  type NbdServer,
  type NbdServerOptions,
} from '../../src/serve/nbd-server.ts';
import { memoryCopyOf } from './memory-copy.ts';
import { NbdClient } from './nbd-client.ts';
import { makeSmallChain, type SmallChain } from './small-chain.ts';

export interface Serving {
  readonly chain: SmallChain;
  readonly store: FileStore;
  readonly exports: ExportSet;
  readonly server: NbdServer;
  readonly events: NbdEvent[];
  /** A client that has answered the greeting. */
  connect(flags?: number): Promise<NbdClient>;
  close(): Promise<void>;
}

let built: Promise<{ chain: SmallChain; store: FileStore }> | undefined;

/** Built once; each test has a copy. */
async function buildOnce(): Promise<{ chain: SmallChain; store: FileStore }> {
  const store = createMemoryFileStore();
  return { chain: await makeSmallChain('/', store), store };
}

/** A small chain in memory, served by a private socket. */
export async function serveSmallChain(
  options: ServeOptions = {},
  serverOptions: NbdServerOptions = {},
): Promise<Serving> {
  const { chain, store } = await (built ??= buildOnce());
  const memory = await memoryCopyOf(store);
  await memory.makeFolder('/tmp');
  const exports = await openExports([{ path: chain.leaf }], {
    fs: memory,
    temporaryFolder: '/tmp',
    ...options,
  });
  const events: NbdEvent[] = [];
  const server = await serveNbd(exports, { onEvent: (event) => events.push(event), ...serverOptions });
  const clients: NbdClient[] = [];
  return {
    chain,
    store: memory,
    exports,
    server,
    events,
    async connect(flags) {
      const client = await NbdClient.connect(server.address, flags);
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) client.destroy();
      await server.close();
      await exports.close();
    },
  };
}

/** Waits until `condition` holds: for what a server does some moments after a client's last word. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

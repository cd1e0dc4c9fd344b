// The NBD half of `vmdkit serve`: from options to a running server, and what happens on it to lines.
import { usageError } from '../core/errors.ts';
import type { ExportTable } from '../serve/export-types.ts';
import { serveNbd, type NbdServerOptions } from '../serve/nbd-server.ts';
import { isLocal, parseNbdUri } from '../serve/nbd-uri.ts';
import type { Arguments } from './parsed-arguments.ts';
import type { CommandContext } from './context.ts';
import { eventTeller, type RunningServer } from './serve-report.ts';

export async function startNbd(
  exports: ExportTable,
  args: Arguments,
  context: CommandContext,
): Promise<RunningServer> {
  const { address, tls } = placeOf(args);
  if (address !== undefined && !isLocal(address) && tls === undefined) {
    context.warn(`${args.text('nbd')}: whoever reaches this address reads the disks; see --tls-certificates`);
  }
  const connections = args.count('connections', 1);
  const idle = args.count('idle');
  const server = await serveNbd(exports, {
    address,
    tls,
    fs: context.store,
    limits: {
      ...(connections === undefined ? {} : { connections }),
      ...(idle === undefined ? {} : { idleMs: idle * 1000 }),
    },
    onEvent: eventTeller(context),
  });
  const socket = server.address.kind === 'unix' ? { unixsocket: server.address.path } : {};
  const port = server.address.kind === 'tcp' ? { port: String(server.address.port) } : {};
  return {
    protocol: 'nbd',
    uriOf: (name) => server.uriOf(name),
    // The names that nbdkit gives them.
    variables: { uri: server.uriOf(), exportname: '', ...socket, ...port },
    close: () => server.close(),
  };
}

function placeOf(args: Arguments): Pick<NbdServerOptions, 'address' | 'tls'> {
  const text = args.text('nbd');
  const certificates = args.text('tls-certificates');
  const place = text === undefined ? undefined : parseNbdUri(text);
  if (place !== undefined && place.exportName !== '') {
    throw usageError(`--nbd: exports have the names of their files: leave "${place.exportName}" out`);
  }
  if (certificates === undefined) {
    const needs = [
      ...(place?.tls === true ? ['nbds'] : []),
      ...(args.text('tls') === undefined ? [] : ['--tls']),
      ...(args.flag('tls-verify-clients') ? ['--tls-verify-clients'] : []),
    ];
    if (needs.length > 0) throw usageError(`${needs[0]} needs --tls-certificates DIR`);
    return { address: place?.address };
  }
  const required = args.text('tls') !== 'allow';
  return {
    address: place?.address,
    tls: { certificates, required, verifyClients: args.flag('tls-verify-clients') },
  };
}

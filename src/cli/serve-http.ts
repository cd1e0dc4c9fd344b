// The HTTP half of `vmdkit serve`: from options to a running server.
import type { ExportTable } from '../serve/export-types.ts';
import { isLoopback, parseHttpAddress } from '../serve/http-address.ts';
import { serveHttp } from '../serve/http-server.ts';
import type { Arguments } from './parsed-arguments.ts';
import type { CommandContext } from './context.ts';
import { eventTeller, type RunningServer } from './serve-report.ts';

export async function startHttp(
  exports: ExportTable,
  text: string,
  args: Arguments,
  context: CommandContext,
): Promise<RunningServer> {
  const address = parseHttpAddress(text);
  const certificates = args.text('tls-certificates');
  const verifyClients = args.flag('tls-verify-clients');
  if (!isLoopback(address) && !(certificates !== undefined && verifyClients)) {
    context.warn(`--http ${text}: whoever reaches this address reads the disks`);
  }
  const connections = args.count('connections', 1);
  const idle = args.count('idle');
  const server = await serveHttp(exports, {
    address,
    ...(certificates === undefined ? {} : { tls: { certificates, verifyClients } }),
    fs: context.store,
    limits: {
      ...(connections === undefined ? {} : { connections }),
      ...(idle === undefined || idle === 0 ? {} : { idleMs: idle * 1000 }),
    },
    onEvent: eventTeller(context),
  });
  const [first] = exports.exports;
  return {
    protocol: 'http',
    uriOf: (name) => server.uriOf(name),
    variables: { http: server.uriOf(), uri: server.uriOf(first?.name) },
    close: () => server.close(),
  };
}

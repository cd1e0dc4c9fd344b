// What `vmdkit serve` says: where each export is found once all is ready, then what happens. Lines for people, or with
// --json one event a line (docs/schemas/serve-event.v1.json).
import type { ExportTable } from '../serve/export-types.ts';
import type { HttpEvent } from '../serve/http-limits.ts';
import type { NbdEvent } from '../serve/nbd-server.ts';
import type { CommandContext } from './context.ts';
import { failureJson } from './failure.ts';
import { legible } from './legible.ts';
import { grouped, sizeText } from './numbers.ts';

export interface RunningServer {
  readonly protocol: 'nbd' | 'http';
  /** Where the export of this name is found. */
  uriOf(name: string): string;
  /** For the environment of a command that runs beside. */
  readonly variables: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

const SCHEMA = 'vmdkit-serve-event/v1';

/** One line for each export, the default one first: its URIs, then what it is. */
export async function sayReady(
  { exports }: ExportTable,
  servers: readonly RunningServer[],
  context: CommandContext,
): Promise<void> {
  if (context.format === 'human') {
    for (const { name, description, size } of exports) {
      const uris = servers.map((server) => server.uriOf(name)).join('  ');
      await context.stdout.line(`${uris}  ${legible(`${description}, ${sizeText(size)}`)}`);
    }
    return;
  }
  const told = exports.map(({ name, description, size, path, links, target }) => ({
    name,
    description,
    filename: path,
    'virtual-size': size,
    links: links.length,
    'read-only': target === undefined,
    uris: servers.map((server) => server.uriOf(name)),
  }));
  await context.stdout.line(JSON.stringify({ schema: SCHEMA, event: 'ready', exports: told }));
}

/** Tells events of a server as they come; one that cannot be told any more is left out. */
export function eventTeller(context: CommandContext): (event: NbdEvent | HttpEvent) => void {
  if (context.format !== 'human') {
    return (event) => void context.stdout.line(JSON.stringify(eventJson(event))).catch(() => {});
  }
  return (event) => {
    if (event.event === 'refused') context.warn(`a client was refused: ${event.reason}`);
    else if (event.event === 'failed') context.warn(`client ${event.client}, ${failureText(event)}`);
    else if (context.verbose) context.talk(comingOrGoing(event));
  };
}

function comingOrGoing(event: Extract<NbdEvent, { event: 'attached' | 'left' }>): string {
  const who = `client ${event.client}`;
  if (event.event === 'attached') return `${who}: reads ${event.export}${event.tls ? ', over TLS' : ''}`;
  const reason = event.reason === undefined ? 'left' : `gone: ${event.reason}`;
  const { bytesRead, bytesWritten } = event;
  return `${who}: ${reason}; ${grouped(bytesRead)} bytes read, ${grouped(bytesWritten)} written`;
}

function failureText({ export: name, error }: Extract<NbdEvent, { event: 'failed' }>): string {
  return `${name}: ${error instanceof Error ? error.message : String(error)}`;
}

function eventJson(event: NbdEvent | HttpEvent): Record<string, unknown> {
  const base = { schema: SCHEMA, event: event.event };
  switch (event.event) {
    case 'attached':
      return { ...base, client: event.client, export: event.export, tls: event.tls };
    case 'left':
      return {
        ...base,
        client: event.client,
        ...(event.export === undefined ? {} : { export: event.export }),
        ...(event.reason === undefined ? {} : { reason: event.reason }),
        'bytes-read': event.bytesRead,
        'bytes-written': event.bytesWritten,
      };
    case 'refused':
      return { ...base, reason: event.reason };
    case 'failed':
      return { ...base, client: event.client, export: event.export, error: failureJson(event.error) };
  }
}

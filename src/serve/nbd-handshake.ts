// The first phase of a connection: greeting, then options until the client goes to an export or leaves. Rule: whatever
// comes is answered with the reply the protocol has for it; only what cannot be answered ends the connection.
import type { ExportTable, ServedExport } from './export-types.ts';
import { chosenContexts, listedContexts, parseContextQuery, type MetaContext } from './nbd-contexts.ts';
import {
  decodeOptionHeader,
  encodeContext,
  encodeExportReply,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoText,
  encodeListed,
  encodeOptionReply,
  exportFlags,
  GREETING,
} from './nbd-messages.ts';
import {
  HANDSHAKE,
  INFO,
  LONGEST_STRING,
  OPTION,
  OPTION_HEADER_BYTES,
  OPTION_REPLY,
} from './nbd-protocol.ts';
import type { NbdWire } from './nbd-wire.ts';

/** What the server is, for a handshake. */
export interface HandshakeHost {
  readonly exports: ExportTable;
  /** Longest read or write. */
  readonly requestBytes: number;
  readonly tls: TlsUpgrade | undefined;
  /** The server is ending. */
  readonly closing: () => boolean;
}

export interface TlsUpgrade {
  /** Without it a client gets nothing. */
  readonly required: boolean;
  /** Takes the socket over. @throws when the client's TLS is not acceptable. */
  upgrade(wire: NbdWire): Promise<NbdWire>;
}

export interface Attached {
  /** Another one than before when TLS was begun. */
  readonly wire: NbdWire;
  readonly served: ServedExport;
  /** Structured replies. */
  readonly structured: boolean;
  readonly contexts: readonly MetaContext[];
  readonly secure: boolean;
}

/** The client broke the protocol where no answer is possible. */
export class NbdProtocolError extends Error {
  override readonly name = 'NbdProtocolError';
}

/** Longer options are passed over. */
const LONGEST_OPTION = 64 * 1024;
/** Grains of most disks. */
const PREFERRED_BYTES = 64 * 1024;

interface Haggling {
  wire: NbdWire;
  secure: boolean;
  structured: boolean;
  /** NBD_FLAG_C_NO_ZEROES. */
  noZeroes: boolean;
  contexts: { readonly exportName: string; readonly chosen: readonly MetaContext[] } | undefined;
}

/** What an option comes to: go on, leave, or go to an export. */
type Outcome = 'next' | 'leave' | Attached;

/**
 * Resolves to what the client attached to; undefined when it took leave.
 * @throws NbdProtocolError, WireClosedError, or an error of TLS: the connection is to be dropped.
 */
export async function negotiate(wire: NbdWire, host: HandshakeHost): Promise<Attached | undefined> {
  await wire.sendAndWait(GREETING);
  const flags = (await wire.read(4)).readUInt32BE(0);
  if ((flags & ~(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes)) !== 0) {
    throw new NbdProtocolError(`client flags 0x${flags.toString(16)} are not known`);
  }
  const state: Haggling = {
    wire,
    secure: false,
    structured: false,
    noZeroes: (flags & HANDSHAKE.noZeroes) !== 0,
    contexts: undefined,
  };
  for (;;) {
    const header = decodeOptionHeader(await state.wire.read(OPTION_HEADER_BYTES));
    if (header === undefined) throw new NbdProtocolError('an option does not begin with its magic number');
    const outcome = await answer(state, host, header.option, header.length);
    if (outcome === 'leave') return undefined;
    if (outcome !== 'next') return outcome;
  }
}

async function answer(
  state: Haggling,
  host: HandshakeHost,
  option: number,
  length: number,
): Promise<Outcome> {
  const reply = async (type: number, text = ''): Promise<Outcome> => {
    await state.wire.sendAndWait(encodeOptionReply(option, type, Buffer.from(text)));
    return 'next';
  };
  if (length > LONGEST_OPTION) {
    if (option === OPTION.exportName) throw new NbdProtocolError(`an export name of ${length} bytes`);
    await state.wire.skip(length);
    return reply(OPTION_REPLY.tooBig, `more than ${LONGEST_OPTION} bytes`);
  }
  const data = await state.wire.read(length);
  if (option === OPTION.abort) {
    await reply(OPTION_REPLY.ack);
    return 'leave';
  }
  if (host.tls?.required === true && !state.secure && option !== OPTION.startTls) {
    if (option === OPTION.exportName) throw new NbdProtocolError('an export is wanted without TLS');
    return reply(OPTION_REPLY.tlsRequired, 'this server speaks only over TLS');
  }
  if (host.closing()) {
    if (option === OPTION.exportName) throw new NbdProtocolError('the server is ending');
    return reply(OPTION_REPLY.shutdown, 'the server is ending');
  }
  switch (option) {
    case OPTION.exportName:
      return attachByName(state, host, data);
    case OPTION.list:
      return data.length > 0 ? reply(OPTION_REPLY.invalid, 'a list takes no data') : list(state, host);
    case OPTION.startTls:
      return startTls(state, host, data, reply);
    case OPTION.info:
    case OPTION.go:
      return goOrInfo(state, host, option, data, reply);
    case OPTION.structuredReply:
      if (data.length > 0) return reply(OPTION_REPLY.invalid, 'structured replies take no data');
      state.structured = true;
      return reply(OPTION_REPLY.ack);
    case OPTION.listMetaContext:
    case OPTION.setMetaContext:
      return metaContexts(state, host, option, data, reply);
    default:
      return reply(OPTION_REPLY.unsupported);
  }
}

type Reply = (type: number, text?: string) => Promise<Outcome>;

async function attachByName(state: Haggling, host: HandshakeHost, data: Buffer): Promise<Outcome> {
  const served = data.length > LONGEST_STRING ? undefined : host.exports.find(data.toString('utf8'));
  if (served === undefined) throw new NbdProtocolError('there is no such export');
  const { structured, wire, noZeroes } = state;
  const flags = exportFlags(served.target !== undefined, structured);
  await wire.sendAndWait(encodeExportReply(served.size, flags, !noZeroes));
  return attached(state, host, served);
}

async function list({ wire }: Haggling, { exports }: HandshakeHost): Promise<Outcome> {
  for (const { name, description } of exports.exports) {
    const data = encodeListed(name, description);
    await wire.sendAndWait(encodeOptionReply(OPTION.list, OPTION_REPLY.server, data));
  }
  await wire.sendAndWait(encodeOptionReply(OPTION.list, OPTION_REPLY.ack));
  return 'next';
}

async function startTls(state: Haggling, host: HandshakeHost, data: Buffer, reply: Reply): Promise<Outcome> {
  if (data.length > 0) return reply(OPTION_REPLY.invalid, 'STARTTLS takes no data');
  if (state.secure) return reply(OPTION_REPLY.invalid, 'TLS has begun already');
  if (host.tls === undefined) return reply(OPTION_REPLY.policy, 'this server has no certificates');
  await reply(OPTION_REPLY.ack);
  // What came unasked is not what the client will say over TLS: somebody put it there.
  if (state.wire.queue.length > 0) throw new NbdProtocolError('data came between STARTTLS and its answer');
  state.wire = await host.tls.upgrade(state.wire);
  state.secure = true;
  // What was said in plain text counts no more.
  state.structured = false;
  state.contexts = undefined;
  return 'next';
}

async function goOrInfo(
  state: Haggling,
  host: HandshakeHost,
  option: number,
  data: Buffer,
  reply: Reply,
): Promise<Outcome> {
  const { exports, requestBytes } = host;
  const asked = parseInfoRequest(data);
  if (asked === undefined) return reply(OPTION_REPLY.invalid, 'the request is not well-formed');
  const served = exports.find(asked.name);
  if (served === undefined) return reply(OPTION_REPLY.unknownExport, 'there is no such export');
  const flags = exportFlags(served.target !== undefined, state.structured);
  const infos = [encodeInfoExport(served.size, flags)];
  if (asked.infos.has(INFO.name)) infos.push(encodeInfoText(INFO.name, served.name));
  if (asked.infos.has(INFO.description)) infos.push(encodeInfoText(INFO.description, served.description));
  if (asked.infos.has(INFO.blockSize)) infos.push(encodeInfoBlockSize(1, PREFERRED_BYTES, requestBytes));
  for (const info of infos) {
    await state.wire.sendAndWait(encodeOptionReply(option, OPTION_REPLY.info, info));
  }
  await reply(OPTION_REPLY.ack);
  return option === OPTION.go ? attached(state, host, served) : 'next';
}

/** Name and wanted infos of GO and INFO; undefined when the lengths do not add up. */
function parseInfoRequest(data: Buffer): { name: string; infos: ReadonlySet<number> } | undefined {
  if (data.length < 6) return undefined;
  const length = data.readUInt32BE(0);
  if (length > LONGEST_STRING || 4 + length + 2 > data.length) return undefined;
  const count = data.readUInt16BE(4 + length);
  const from = 4 + length + 2;
  if (from + count * 2 !== data.length) return undefined;
  const infos = new Set<number>();
  for (let index = 0; index < count; index++) infos.add(data.readUInt16BE(from + index * 2));
  return { name: data.toString('utf8', 4, 4 + length), infos };
}

async function metaContexts(
  state: Haggling,
  { exports }: HandshakeHost,
  option: number,
  data: Buffer,
  reply: Reply,
): Promise<Outcome> {
  if (!state.structured) return reply(OPTION_REPLY.invalid, 'structured replies come first');
  const asked = parseContextQuery(data);
  if (asked === undefined) return reply(OPTION_REPLY.invalid, 'the query is not well-formed');
  const { exportName, queries } = asked;
  const setting = option === OPTION.setMetaContext;
  if (setting) state.contexts = undefined;
  if (exports.find(exportName) === undefined) {
    return reply(OPTION_REPLY.unknownExport, 'there is no such export');
  }
  const found = setting ? chosenContexts(queries) : listedContexts(queries);
  if (setting) state.contexts = { exportName, chosen: found };
  for (const { id, name } of found) {
    const context = encodeContext(setting ? id : 0, name);
    await state.wire.sendAndWait(encodeOptionReply(option, OPTION_REPLY.metaContext, context));
  }
  return reply(OPTION_REPLY.ack);
}

/** Contexts that were chosen for another export count no more. */
function attached(state: Haggling, { exports }: HandshakeHost, served: ServedExport): Attached {
  const { wire, structured, contexts, secure } = state;
  const same = contexts !== undefined && exports.find(contexts.exportName) === served;
  return { wire, served, structured, secure, contexts: same ? contexts.chosen : [] };
}

// Messages of the NBD protocol between bytes and values: pure, without a socket. A handle is the client's own and comes
// back as it was.
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_HEADER_BYTES,
  EXPORT_FLAG,
  HANDSHAKE,
  INFO,
  NBD_ERROR,
  NBD_MAGIC,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  type NbdErrorName,
} from './nbd-protocol.ts';

export interface NbdRequest {
  readonly flags: number;
  readonly type: number;
  readonly handle: bigint;
  /** Bytes. Above 2^53 it is not exact, which no disk reaches. */
  readonly offset: number;
  readonly length: number;
}

/** One stretch of a block status reply: bytes, and the status as its context counts. */
export interface StatusExtent {
  length: number;
  readonly status: number;
}

export const GREETING: Buffer = (() => {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(NBD_MAGIC, 0);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 8);
  bytes.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 16);
  return bytes;
})();

/** The header of an option; undefined for wrong magic. */
export function decodeOptionHeader(bytes: Buffer): { option: number; length: number } | undefined {
  if (bytes.length < OPTION_HEADER_BYTES || bytes.readBigUInt64BE(0) !== OPTION_MAGIC) return undefined;
  return { option: bytes.readUInt32BE(8), length: bytes.readUInt32BE(12) };
}

export function encodeOptionReply(option: number, type: number, data: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(20);
  header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}

/** The answer to NBD_OPT_EXPORT_NAME, which has no header. */
export function encodeExportReply(size: number, flags: number, zeroes: boolean): Buffer {
  const bytes = Buffer.alloc(zeroes ? 10 + 124 : 10);
  bytes.writeBigUInt64BE(BigInt(size), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

export function encodeInfoExport(size: number, flags: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(INFO.export, 0);
  bytes.writeBigUInt64BE(BigInt(size), 2);
  bytes.writeUInt16BE(flags, 10);
  return bytes;
}

export function encodeInfoText(info: number, text: string): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(info, 0);
  return Buffer.concat([bytes, Buffer.from(text)]);
}

export function encodeInfoBlockSize(least: number, preferred: number, most: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(INFO.blockSize, 0);
  [least, preferred, most].forEach((value, index) => bytes.writeUInt32BE(value, 2 + index * 4));
  return bytes;
}

/** NBD_REP_SERVER: one export of a list. */
export function encodeListed(name: string, description: string): Buffer {
  const text = Buffer.from(name);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length, 0);
  return Buffer.concat([length, text, Buffer.from(description)]);
}

export function encodeContext(id: number, name: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id, 0);
  return Buffer.concat([bytes, Buffer.from(name)]);
}

/** A request of the transmission phase; undefined for wrong magic, after which nothing that follows can be trusted. */
export function decodeRequest(bytes: Buffer): NbdRequest | undefined {
  if (bytes.readUInt32BE(0) !== REQUEST_MAGIC) return undefined;
  return {
    flags: bytes.readUInt16BE(4),
    type: bytes.readUInt16BE(6),
    handle: bytes.readBigUInt64BE(8),
    offset: bytes.readUInt32BE(16) * 2 ** 32 + bytes.readUInt32BE(20),
    length: bytes.readUInt32BE(24),
  };
}

export function encodeSimpleReply(handle: bigint, error = 0): Buffer {
  return writeSimpleHeader(Buffer.allocUnsafe(SIMPLE_REPLY_BYTES), handle, error);
}

/** Fills `header`, SIMPLE_REPLY_BYTES long. */
export function writeSimpleHeader(header: Buffer, handle: bigint, error: number): Buffer {
  header.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  header.writeUInt32BE(error, 4);
  header.writeBigUInt64BE(handle, 8);
  return header;
}

/** Fills the first CHUNK_HEADER_BYTES of `header`; `length` counts the payload. */
export function writeChunkHeader(
  header: Buffer,
  type: number,
  handle: bigint,
  length: number,
  done: boolean,
): Buffer {
  header.writeUInt32BE(STRUCTURED_REPLY_MAGIC, 0);
  header.writeUInt16BE(done ? CHUNK_DONE : 0, 4);
  header.writeUInt16BE(type, 6);
  header.writeBigUInt64BE(handle, 8);
  header.writeUInt32BE(length, 16);
  return header;
}

/** `header` comes right before `length` bytes of data from byte `offset` of the export. */
export function writeDataHeader(
  header: Buffer,
  handle: bigint,
  offset: number,
  length: number,
  done: boolean,
): Buffer {
  writeChunkHeader(header, CHUNK.offsetData, handle, length + 8, done);
  return writeOffset(header, offset, CHUNK_HEADER_BYTES);
}

export function encodeNone(handle: bigint): Buffer {
  return writeChunkHeader(Buffer.allocUnsafe(CHUNK_HEADER_BYTES), CHUNK.none, handle, 0, true);
}

export function encodeHole(handle: bigint, offset: number, length: number, done: boolean): Buffer {
  const bytes = writeChunkHeader(
    Buffer.allocUnsafe(CHUNK_HEADER_BYTES + 12),
    CHUNK.offsetHole,
    handle,
    12,
    done,
  );
  writeOffset(bytes, offset, CHUNK_HEADER_BYTES);
  bytes.writeUInt32BE(length, CHUNK_HEADER_BYTES + 8);
  return bytes;
}

export function encodeError(handle: bigint, error: NbdErrorName, text: string): Buffer {
  const message = Buffer.from(text).subarray(0, 512);
  const bytes = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + 6 + message.length);
  writeChunkHeader(bytes, CHUNK.error, handle, 6 + message.length, true);
  bytes.writeUInt32BE(NBD_ERROR[error], CHUNK_HEADER_BYTES);
  bytes.writeUInt16BE(message.length, CHUNK_HEADER_BYTES + 4);
  bytes.set(message, CHUNK_HEADER_BYTES + 6);
  return bytes;
}

export function encodeStatus(
  handle: bigint,
  context: number,
  extents: readonly StatusExtent[],
  done: boolean,
): Buffer {
  const payload = 4 + extents.length * 8;
  const bytes = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + payload);
  writeChunkHeader(bytes, CHUNK.blockStatus, handle, payload, done);
  bytes.writeUInt32BE(context, CHUNK_HEADER_BYTES);
  let at = CHUNK_HEADER_BYTES + 4;
  for (const { length, status } of extents) {
    bytes.writeUInt32BE(length, at);
    bytes.writeUInt32BE(status, at + 4);
    at += 8;
  }
  return bytes;
}

/** What an export says of itself. */
export function exportFlags(writable: boolean, structured: boolean): number {
  const { hasFlags, readOnly, sendFlush, sendFua, sendTrim, sendWriteZeroes, sendFastZero } = EXPORT_FLAG;
  const shared = hasFlags | EXPORT_FLAG.canMultiConn | EXPORT_FLAG.sendCache | sendFlush;
  const access = writable ? sendFua | sendTrim | sendWriteZeroes | sendFastZero : readOnly;
  return shared | access | (structured ? EXPORT_FLAG.sendDf : 0);
}

function writeOffset(bytes: Buffer, offset: number, at: number): Buffer {
  bytes.writeUInt32BE(Math.floor(offset / 2 ** 32), at);
  bytes.writeUInt32BE(offset % 2 ** 32, at + 4);
  return bytes;
}

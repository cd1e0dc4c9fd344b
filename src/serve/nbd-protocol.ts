// The numbers of the NBD protocol, fixed newstyle, as the protocol's own document names them (NetworkBlockDevice/nbd,
// doc/proto.md). Rule: every number on the wire is written here once; all of them are big-endian.

export const NBD_MAGIC = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** The server's greeting and the client's answer share these bits. */
export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const OPTION_ERROR = 2 ** 31;
export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: OPTION_ERROR + 1,
  policy: OPTION_ERROR + 2,
  invalid: OPTION_ERROR + 3,
  tlsRequired: OPTION_ERROR + 5,
  unknownExport: OPTION_ERROR + 6,
  shutdown: OPTION_ERROR + 7,
  tooBig: OPTION_ERROR + 9,
} as const;

export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do: the transmission flags. */
export const EXPORT_FLAG = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
  sendFastZero: 1 << 11,
} as const;

export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2, df: 4, reqOne: 8, fastZero: 16 } as const;

const CHUNK_ERROR = 2 ** 15;
export const CHUNK = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: CHUNK_ERROR + 1,
} as const;
export const CHUNK_DONE = 1;

export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;
export type NbdErrorName = keyof typeof NBD_ERROR;

/** base:allocation. */
export const STATE = { hole: 1, zero: 2 } as const;

/** Magic, option, length. */
export const OPTION_HEADER_BYTES = 16;
/** Magic, flags, type, handle, offset, length. */
export const REQUEST_BYTES = 28;
/** Magic, flags, type, handle, length. */
export const CHUNK_HEADER_BYTES = 20;
/** Magic, error, handle. */
export const SIMPLE_REPLY_BYTES = 16;
/** A string may be no longer. */
export const LONGEST_STRING = 4096;

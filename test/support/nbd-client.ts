// A client that speaks NBD byte by byte, so that tests can say what no real client would.
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { ByteQueue } from '../../src/serve/byte-queue.ts';
import type { NbdAddress } from '../../src/serve/nbd-uri.ts';

export const OPTION_MAGIC = 0x49484156454f5054n;
const REPLY_MAGIC = 0x0003e889045565a9n;
const REQUEST_MAGIC = 0x25609513;

export interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

export interface Chunk {
  readonly type: number;
  readonly handle: bigint;
  readonly done: boolean;
  readonly data: Buffer;
}

export interface RequestFields {
  readonly type: number;
  readonly flags?: number;
  readonly handle?: bigint;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly data?: Uint8Array;
}

export function optionBytes(
  option: number,
  data: Uint8Array = new Uint8Array(),
  magic = OPTION_MAGIC,
): Buffer {
  const header = Buffer.alloc(16);
  header.writeBigUInt64BE(magic, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

/** The data of GO and INFO. */
export function goData(name: string, infos: readonly number[] = []): Buffer {
  const bytes = Buffer.alloc(4 + Buffer.byteLength(name) + 2 + infos.length * 2);
  bytes.writeUInt32BE(Buffer.byteLength(name), 0);
  bytes.write(name, 4);
  bytes.writeUInt16BE(infos.length, 4 + Buffer.byteLength(name));
  infos.forEach((info, index) => bytes.writeUInt16BE(info, 6 + Buffer.byteLength(name) + index * 2));
  return bytes;
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function contextData(name: string, queries: readonly string[]): Buffer {
  const text = (value: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(value), 0);
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length, 0);
  return Buffer.concat([text(name), count, ...queries.map(text)]);
}

export function requestBytes(fields: RequestFields): Buffer {
  const { type, flags = 0, handle = 1n, offset = 0, data = new Uint8Array() } = fields;
  const header = Buffer.alloc(28);
  header.writeUInt32BE(REQUEST_MAGIC, 0);
  header.writeUInt16BE(flags, 4);
  header.writeUInt16BE(type, 6);
  header.writeBigUInt64BE(handle, 8);
  header.writeBigUInt64BE(BigInt(offset), 16);
  header.writeUInt32BE(fields.length ?? data.length, 24);
  return Buffer.concat([header, data]);
}

export class NbdClient {
  #socket: Socket;
  readonly #queue = new ByteQueue();
  #wake = (): void => {};
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = this.#listen(socket);
  }

  /** Connects, takes the greeting and answers it. */
  static async connect(address: NbdAddress, flags = 3): Promise<NbdClient> {
    const client = new NbdClient(address.kind === 'unix' ? connect(address.path) : connect(address));
    await client.bytes(18);
    const answer = Buffer.alloc(4);
    answer.writeUInt32BE(flags, 0);
    client.send(answer);
    return client;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next bytes; undefined when the server closed before. */
  async tryBytes(count: number): Promise<Buffer | undefined> {
    while (this.#queue.length < count) {
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#queue.take(count);
  }

  async bytes(count: number): Promise<Buffer> {
    const bytes = await this.tryBytes(count);
    if (bytes === undefined) throw new Error(`the server closed, ${count} bytes wanted`);
    return bytes;
  }

  /** Sends an option, and gives its replies up to the last one. */
  async option(option: number, data?: Uint8Array): Promise<OptionReply[]> {
    this.send(optionBytes(option, data));
    return this.optionReplies();
  }

  async optionReplies(): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const header = await this.bytes(20);
      if (header.readBigUInt64BE(0) !== REPLY_MAGIC) throw new Error('no reply to an option');
      const type = header.readUInt32BE(12);
      replies.push({ type, data: await this.bytes(header.readUInt32BE(16)) });
      if (type === 1 || type >= 2 ** 31) return replies;
    }
  }

  /** Structured replies, contexts, and on to the export. Gives its size and flags. */
  async go(
    name = '',
    { structured = true, contexts = [] as readonly string[] } = {},
  ): Promise<{ size: number; flags: number }> {
    if (structured) await this.option(8);
    if (contexts.length > 0) await this.option(10, contextData(name, contexts));
    const [info, last] = await this.option(7, goData(name));
    if (last?.type !== 1) throw new Error(`no such export: ${name}`);
    return { size: Number(info!.data.readBigUInt64BE(2)), flags: info!.data.readUInt16BE(10) };
  }

  /** Sends a request and gives the chunks of its structured reply; simple replies come as chunks of type -1. */
  async ask(fields: RequestFields): Promise<Chunk[]> {
    this.send(requestBytes(fields));
    return this.reply();
  }

  async reply(): Promise<Chunk[]> {
    const chunks: Chunk[] = [];
    for (;;) {
      const chunk = await this.chunk();
      chunks.push(chunk);
      if (chunk.done) return chunks;
    }
  }

  async chunk(): Promise<Chunk> {
    const magic = (await this.bytes(4)).readUInt32BE(0);
    if (magic === 0x67446698) {
      const rest = await this.bytes(12);
      return { type: -1, handle: rest.readBigUInt64BE(4), done: true, data: rest.subarray(0, 4) };
    }
    if (magic !== 0x668e33ef) throw new Error(`no reply: ${magic.toString(16)}`);
    const rest = await this.bytes(16);
    const data = await this.bytes(rest.readUInt32BE(12));
    return {
      type: rest.readUInt16BE(2),
      handle: rest.readBigUInt64BE(4),
      done: rest.readUInt16BE(0) === 1,
      data,
    };
  }

  /** Goes on over TLS. */
  async startTls(options: ConnectionOptions): Promise<void> {
    for (const event of ['data', 'close']) this.#socket.removeAllListeners(event);
    const secure = connectTls({ ...options, socket: this.#socket });
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', resolve);
      secure.once('error', reject);
    });
    this.#socket = this.#listen(secure);
  }

  /** Resolves once the server has closed. */
  async whenClosed(): Promise<void> {
    while (!this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Says that nothing more comes, and listens on. */
  halfClose(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): Socket {
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => {
      this.#queue.push(piece);
      this.#wake();
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
    return socket;
  }
}

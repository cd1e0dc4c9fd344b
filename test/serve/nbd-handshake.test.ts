// The first phase of a connection, also with clients that do not know how to behave.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contextData, goData, optionBytes, type NbdClient } from '../support/nbd-client.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const ACK = 1;
const SERVER = 2;
const INFO = 3;
const META = 4;
const [UNSUP, POLICY, INVALID, UNKNOWN, TOO_BIG] = [1, 2, 3, 6, 9].map((n) => 2 ** 31 + n);
const READ_ONLY_FLAGS = 0b101_1000_0111;

let serving: Serving;
let client: NbdClient;

beforeEach(async () => {
  serving = await serveSmallChain();
  client = await serving.connect();
});
afterEach(() => serving.close());

async function typesOf(option: number, data?: Uint8Array): Promise<number[]> {
  return (await client.option(option, data)).map(({ type }) => type);
}

/** Why the server let the only client go. */
async function reason(): Promise<string | undefined> {
  await client.whenClosed();
  await until(() => serving.events.length > 0, 'the client leaves');
  const event = serving.events.at(-1)!;
  return event.event === 'left' ? event.reason : event.event;
}

describe('options', () => {
  it('list every link', async () => {
    const replies = await client.option(3);
    const names = replies.slice(0, -1).map(({ type, data }) => {
      expect(type).toBe(SERVER);
      return data.toString('utf8', 4, 4 + data.readUInt32BE(0));
    });
    expect(names).toEqual(['leaf.vmdk', 'mid.vmdk', 'base.vmdk']);
    expect(replies.at(-1)!.type).toBe(ACK);
  });

  it('tell of an export what is asked for, and go on', async () => {
    const replies = await client.option(6, goData('', [1, 2, 3, 77]));
    expect(replies.map(({ type }) => type)).toEqual([INFO, INFO, INFO, INFO, ACK]);
    const [size, name, description, blocks] = replies.map(({ data }) => data);
    expect(size!.readUInt16BE(0)).toBe(0);
    expect(Number(size!.readBigUInt64BE(2))).toBe(CHAIN_BYTES);
    // DF is promised only where structured replies are agreed on.
    expect(size!.readUInt16BE(10)).toBe(READ_ONLY_FLAGS & ~0x80);
    expect(name!.toString('utf8', 2)).toBe('leaf.vmdk');
    expect(description!.toString('utf8', 2)).toContain('3 links, read-only');
    expect([2, 6, 10].map((at) => blocks!.readUInt32BE(at))).toEqual([1, 65536, 32 << 20]);
    expect(await typesOf(8)).toEqual([ACK]);
    const [info] = await client.option(7, goData('base.vmdk'));
    expect(info!.data.readUInt16BE(10)).toBe(READ_ONLY_FLAGS);
  });

  it('offer the two contexts, by name, by namespace, or all', async () => {
    expect(await typesOf(9, contextData('', []))).toEqual([INVALID]);
    await client.option(8);
    const listed = async (queries: string[]) =>
      (await client.option(9, contextData('mid.vmdk', queries)))
        .slice(0, -1)
        .map(({ data }) => data.toString('utf8', 4));
    expect(await listed([])).toEqual(['base:allocation', 'qemu:allocation-depth']);
    expect(await listed(['qemu:'])).toEqual(['qemu:allocation-depth']);
    expect(await listed(['base:allocation', 'x-none:y'])).toEqual(['base:allocation']);
    const chosen = await client.option(10, contextData('', ['qemu:allocation-depth', 'base:']));
    expect(chosen.map(({ type }) => type)).toEqual([META, ACK]);
    expect(chosen[0]!.data.readUInt32BE(0)).toBe(2);
  });

  it('take leave of a client that aborts', async () => {
    expect(await typesOf(2)).toEqual([ACK]);
    expect(await reason()).toBeUndefined();
  });

  it('serve a client of the old style, with and without the zeros at the end', async () => {
    for (const [flags, length] of [
      [0, 134],
      [2, 10],
    ] as const) {
      const old = await serving.connect(flags);
      old.send(optionBytes(1, Buffer.from('base.vmdk')));
      const answer = await old.bytes(length);
      expect(Number(answer.readBigUInt64BE(0))).toBe(CHAIN_BYTES);
      const [reply] = await old.ask({ type: 0, offset: 1 << 20, length: 4 });
      expect(reply).toMatchObject({ type: -1, data: Buffer.alloc(4) });
      expect(await old.bytes(4)).toEqual(Buffer.alloc(4, 0xb1));
    }
  });
});

describe('options that are wrong get an answer, and the client goes on', () => {
  it.each([
    ['not known', 99, Buffer.from('x'), [UNSUP]],
    ['a list with data', 3, Buffer.from('x'), [INVALID]],
    ['structured replies with data', 8, Buffer.from('x'), [INVALID]],
    ['TLS without certificates', 5, undefined, [POLICY]],
    ['TLS with data', 5, Buffer.from('x'), [INVALID]],
    ['GO to nothing there is', 7, goData('nothing'), [UNKNOWN]],
    ['INFO of nothing there is', 6, goData('nothing'), [UNKNOWN]],
    ['GO without data', 7, undefined, [INVALID]],
    ['GO with a name longer than its data', 7, Buffer.from('00000009610000', 'hex'), [INVALID]],
    ['GO with fewer infos than it says', 7, Buffer.from('0000000161000500', 'hex'), [INVALID]],
    ['GO with more data than it says', 7, Buffer.concat([goData('leaf.vmdk'), Buffer.alloc(3)]), [INVALID]],
    ['GO with a huge name', 7, goData('n'.repeat(5000)), [INVALID]],
    ['more than 64 KiB', 6, Buffer.alloc(100_000), [TOO_BIG]],
  ])('%s', async (_, option, data, expected) => {
    expect(await typesOf(option, data)).toEqual(expected);
    expect((await client.go()).size).toBe(CHAIN_BYTES);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a name that is cut', Buffer.from('0000000861', 'hex')],
    ['no count', Buffer.from('0000000161', 'hex')],
    ['a count beyond its data', Buffer.from('00000000ffffffff', 'hex')],
    ['a query that is cut', Buffer.from('00000000000000010000000561', 'hex')],
    ['data behind the last query', Buffer.concat([contextData('', ['base:']), Buffer.alloc(1)])],
  ])('a context query with %s', async (_, data) => {
    await client.option(8);
    expect(await typesOf(9, data)).toEqual([INVALID]);
    expect(await typesOf(10, data)).toEqual([INVALID]);
    expect(await typesOf(10, contextData('nothing', ['base:allocation']))).toEqual([UNKNOWN]);
  });
});

describe('what cannot be answered ends the connection, and only that', () => {
  it.each([
    [
      'an option without its magic number',
      optionBytes(3, undefined, 1n),
      'an option does not begin with its magic number',
    ],
    ['the name of no export', optionBytes(1, Buffer.from('nothing')), 'there is no such export'],
    ['an export name of 5,000 bytes', optionBytes(1, Buffer.alloc(5000, 'n')), 'there is no such export'],
    [
      'an export name beyond all bounds',
      optionBytes(1, Buffer.alloc(70_000)),
      'an export name of 70000 bytes',
    ],
  ])('%s', async (_, bytes, expected) => {
    client.send(bytes);
    expect(await reason()).toBe(expected);
    expect((await (await serving.connect()).go()).size).toBe(CHAIN_BYTES);
  });

  it('flags that nobody knows', async () => {
    client.destroy();
    await until(() => serving.events.length === 1, 'the first client leaves');
    client = await serving.connect(0x103);
    expect(await reason()).toBe('client flags 0x103 are not known');
  });

  it('a client that leaves within an option', async () => {
    client.send(optionBytes(6, goData('')).subarray(0, 20));
    client.halfClose();
    expect(await reason()).toBe('the client has gone');
  });

  it('a client that never chooses', async () => {
    await serving.close();
    serving = await serveSmallChain({}, { limits: { handshakeMs: 50 } });
    client = await serving.connect();
    expect(await reason()).toBe('it did not choose an export in time');
  });
});

it('more clients than allowed are sent away until one leaves', async () => {
  await serving.close();
  serving = await serveSmallChain({}, { limits: { connections: 1 } });
  client = await serving.connect();
  await client.go();
  await expect(serving.connect()).rejects.toThrow('the server closed');
  expect(serving.events.at(-1)).toEqual({ event: 'refused', reason: '1 clients are connected already' });
  client.destroy();
  await until(() => serving.events.at(-1)!.event === 'left', 'the client leaves');
  expect((await (await serving.connect()).go()).size).toBe(CHAIN_BYTES);
});

it('a server that ends tells those who still choose', async () => {
  const late = await serving.connect();
  const attached = await serving.connect();
  await attached.go();
  await serving.server.close();
  await Promise.all([late.whenClosed(), attached.whenClosed()]);
  expect(serving.events.filter(({ event }) => event === 'left')).toHaveLength(3);
});

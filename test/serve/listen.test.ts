// Where servers listen: one socket is one server's, also when two begin at once where a killed one left its own.
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { listenAt } from '../../src/serve/listen.ts';

it('of two that begin at once on a socket that was left behind, one listens and is reached', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vmdkit-listen-'));
  const path = join(folder, 'nbd.sock');
  for (let round = 0; round < 30; round++) {
    const left = createServer();
    await listenAt(left, { kind: 'unix', path: `${path}-left` });
    await rename(`${path}-left`, path);
    await new Promise((done) => left.close(done));
    const servers = Array.from({ length: 2 }, () => createServer((socket) => socket.destroy()));
    // Each begins a little later than the one before, by another stretch in each round.
    const begin = async (server: Server, index: number) => {
      for (let turn = 0; turn < index * round; turn++) await new Promise(setImmediate);
      return listenAt(server, { kind: 'unix', path });
    };
    const ends = await Promise.allSettled(servers.map(begin));
    const listening = servers.filter((_, index) => ends[index]!.status === 'fulfilled');
    const reached = new Promise<number>((done) => {
      for (const [index, server] of servers.entries()) server.once('connection', () => done(index));
    });
    const client = connect(path).on('error', () => {});
    expect(listening).toHaveLength(1);
    const other = ends.find((end) => end.status === 'rejected');
    expect(other?.reason).toMatchObject({ code: 'cannot-listen' });
    expect(servers[await reached]).toBe(listening[0]);
    client.destroy();
    await new Promise((done) => listening[0]!.close(done));
    expect(await readdir(folder)).toEqual([]);
  }
  await rm(folder, { recursive: true });
});

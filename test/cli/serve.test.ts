// `vmdkit serve` as a user runs it: the ready lines, the events, the end by a signal or with a command.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseNbdUri } from '../../src/serve/nbd-uri.ts';
import { buildCommand, COMMAND, expectValid, temporaryFolder, vmdkit } from '../support/command.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildMachine } from '../support/machine-model.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;
let server: { child: ChildProcess; lines: string[]; ended: Promise<number | null> } | undefined;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
});
afterEach(async () => {
  server?.child.kill('SIGKILL');
  server = undefined;
  await remove();
});

/** Starts it and waits for `count` lines. */
async function serve(args: readonly string[], count: number): Promise<string[]> {
  const child = spawn(process.execPath, [COMMAND, 'serve', ...args], {
    env: { ...process.env, TMPDIR: folder },
  });
  const lines: string[] = [];
  server = { child, lines, ended: new Promise((resolve) => child.once('close', resolve)) };
  let rest = '';
  let wake = (): void => {};
  child.stdout.on('data', (piece: Buffer) => {
    const parts = (rest + piece.toString()).split('\n');
    rest = parts.pop()!;
    lines.push(...parts);
    wake();
  });
  while (lines.length < count) {
    await Promise.race([
      new Promise<void>((resolve) => (wake = resolve)),
      server.ended.then((code) => Promise.reject(new Error(`it ended with ${code}`))),
    ]);
  }
  return lines;
}

describe('vmdkit serve', () => {
  it('prints a line for each link, serves from a private socket, and leaves nothing after Ctrl-C', async () => {
    const lines = await serve([chain.leaf], 3);
    expect(lines.map((line) => line.split('  ')[1])).toEqual([
      'leaf.vmdk, monolithicSparse, 3 links, read-only, 8 MiB',
      'mid.vmdk, monolithicSparse, 2 links, read-only, 8 MiB',
      'base.vmdk, monolithicSparse, 1 link, read-only, 8 MiB',
    ]);
    const { address, exportName } = parseNbdUri(lines[0]!.split('  ')[0]!);
    expect(exportName).toBe('leaf.vmdk');
    if (address?.kind !== 'unix') throw new Error('a Unix socket was expected');
    expect(statSync(address.path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(address.path)).mode & 0o777).toBe(0o700);
    const client = await NbdClient.connect(address);
    expect(await client.go('mid.vmdk')).toMatchObject({ size: CHAIN_BYTES });
    server!.child.kill('SIGINT');
    expect(await server!.ended).toBe(0);
    await client.whenClosed();
    expect(existsSync(dirname(address.path))).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(
      expect.arrayContaining(['base.vmdk', 'leaf.vmdk', 'mid.vmdk']),
    );
  });

  it('tells events as JSON, one a line, on a port of the loopback', async () => {
    const lines = await serve([chain.leaf, '--nbd', 'nbd://localhost:0', '--json'], 1);
    const ready = JSON.parse(lines[0]!) as { exports: { uris: string[] }[] };
    const { address } = parseNbdUri(ready.exports[0]!.uris[0]!);
    const client = await NbdClient.connect(address!);
    await client.go();
    client.send(Buffer.alloc(28));
    await client.whenClosed();
    while (server!.lines.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    const events = server!.lines.map((line) => JSON.parse(line) as { event: string; reason?: string });
    for (const event of events) expectValid('serve-event', event);
    expect(events.map(({ event }) => event)).toEqual(['ready', 'attached', 'left']);
    expect(events[2]!.reason).toBe('a request does not begin with its magic number');
  });

  it('ends with the command that runs beside it, and with its exit code', async () => {
    const before = readFileSync(chain.leaf);
    const { stdout, stderr, code } = await vmdkit(
      ['serve', chain.leaf, '--overlay', 'temporary', '--exec', 'echo "$uri"; exit 7'],
      { env: { TMPDIR: folder } },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 7 });
    expect(stdout.toString()).toMatch(/^nbd\+unix:\/\/\/\?socket=\/.*nbd\.sock\n$/);
    expect(readdirSync(folder).filter((name) => name.startsWith('vmdkit-serve'))).toEqual([]);
    expect(readFileSync(chain.leaf).equals(before)).toBe(true);
  });

  it('keeps every flushed write when it is killed, and the next one takes its socket over', async () => {
    const [over, socket] = [join(folder, 'over.vmdk'), join(folder, 'nbd.sock')];
    const args = [chain.leaf, '--overlay', over, '--nbd', socket];
    await serve(args, 4);
    const client = await NbdClient.connect({ kind: 'unix', path: socket });
    await client.go();
    const written = Buffer.from(chain.contents);
    for (let index = 0; index < 20; index++) {
      const data = Buffer.alloc(3000, index + 1);
      await client.ask({ type: 1, offset: index * 70_000, data });
      data.copy(written, index * 70_000);
    }
    expect((await client.ask({ type: 3 }))[0]!.type).toBe(0);
    server!.child.kill('SIGKILL');
    await server!.ended;
    await serve(args, 4);
    const again = await NbdClient.connect({ kind: 'unix', path: socket });
    await again.go();
    const [chunk] = await again.ask({ type: 0, flags: 4, offset: 0, length: CHAIN_BYTES });
    expect(chunk!.data.subarray(8).equals(written)).toBe(true);
    const second = await vmdkit(['serve', chain.mid, '--nbd', socket]);
    expect(second).toMatchObject({ code: 3 });
    expect(second.stderr).toContain('another server listens there');
  });

  it('removes what a killed one left: its socket, its folder, its temporary overlay', async () => {
    await serve([chain.leaf, '--overlay', 'temporary'], 4);
    const left = (): string[] => readdirSync(folder).filter((name) => name.startsWith('vmdkit-serve-'));
    expect(left()).toHaveLength(2);
    server!.child.kill('SIGKILL');
    await server!.ended;
    expect(left()).toHaveLength(2);
    await vmdkit(['serve', chain.leaf, '--exec', 'true'], { env: { TMPDIR: folder } });
    expect(left()).toEqual([]);
  });

  it('serves each disk of a machine at each of its snapshots', async () => {
    const model = await buildMachine(createNodeFileStore(), join(folder, 'golden'));
    const lines = await serve([model.vmxPath, '--json'], 1);
    const { exports } = JSON.parse(lines[0]!) as { exports: { name: string; uris: string[] }[] };
    expect(exports.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'scsi0:0',
        'sata0:1',
        'nvme0:0',
        'installed/scsi0:0',
        'patched/nvme0:0',
        'experiment/sata0:1',
      ]),
    );
    const { address } = parseNbdUri(exports[0]!.uris[0]!);
    for (const [name, point, node] of [
      ['', 'running', 'scsi0:0'],
      ['patched/nvme0:0', 2, 'nvme0:0'],
      ['installed/sata0:1', 1, 'sata0:1'],
    ] as const) {
      const expected = model.contentsAt(point, node);
      const client = await NbdClient.connect(address!);
      await client.go(name);
      const [chunk] = await client.ask({ type: 0, flags: 4, offset: 0, length: expected.length });
      expect(chunk!.data.subarray(8).equals(expected)).toBe(true);
      client.destroy();
    }
  });

  it('refuses what does not go together, before anything is opened', async () => {
    const say = async (...args: string[]) => {
      const { stderr, code } = await vmdkit(['serve', join(folder, 'no.vmdk'), ...args]);
      return `${code}: ${stderr.split('\n')[0]}`;
    };
    expect(await say('--write', '--overlay', 'temporary')).toMatch(/^2: .*--write and --overlay/);
    expect(await say('--tls', 'allow')).toMatch(/^(2|3): /);
    expect(await say()).toMatch(/^3: .*no\.vmdk/);
  });
});

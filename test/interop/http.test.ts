// Other people's HTTP readers on our server: curl goes on where a download broke off and asks for ranges, nbdkit's curl
// plugin and QEMU make a block device of it. All get what the chain reads as, over TLS as well.
import { createHash } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openExports } from '../../src/serve/exports.ts';
import type { ExportSet } from '../../src/serve/export-types.ts';
import { serveHttp, type HttpServer } from '../../src/serve/http-server.ts';
import { temporaryFolder, vmdkit } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

const PEERS = ['curl', 'nbdkit', 'nbdinfo', 'nbdcopy', 'openssl', 'qemu-img', 'block-curl.so'] as const;

describeWithPeer(PEERS, 'HTTP, for others', (peers) => {
  let folder: string;
  let remove: () => Promise<void>;
  let chain: SmallChain;
  let exports: ExportSet;
  let plain: HttpServer;
  let secure: HttpServer;
  const wanted = (): string => hex(chain.contents);

  beforeAll(async () => {
    ({ folder, remove } = await temporaryFolder());
    chain = await makeSmallChain(folder);
    const [key, cert] = [join(folder, 'server-key.pem'), join(folder, 'server-cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    await peers.openssl.ok([
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '2',
      ...subject,
    ]);
    exports = await openExports([{ path: chain.leaf }]);
    const address = { host: '127.0.0.1', port: 0 };
    plain = await serveHttp(exports, { address });
    secure = await serveHttp(exports, { address, tls: { certificates: folder } });
  }, 60_000);
  afterAll(async () => {
    await Promise.all([plain.close(), secure.close()]);
    await exports.close();
    await remove();
  });

  it('curl reads it whole, over TLS, and goes on where it stopped', async () => {
    const out = join(folder, 'curl.raw');
    const cert = join(folder, 'server-cert.pem');
    await peers.curl.ok(['-sSf', '--cacert', cert, '-o', out, secure.uriOf('leaf.vmdk')]);
    expect(hex(await readFile(out))).toBe(wanted());
    await truncate(out, 3_000_001);
    await peers.curl.ok(['-sSf', '-C', '-', '-o', out, plain.uriOf('leaf.vmdk')]);
    expect(hex(await readFile(out))).toBe(wanted());
    const size = await peers.curl.ok(['-sSfI', plain.uriOf('base.vmdk')]);
    expect(size).toContain(`Content-Length: ${CHAIN_BYTES}`);
    const several = await peers.curl.ok(['-sSf', '-r', '0-1,-1', plain.uriOf('leaf.vmdk')]);
    expect(several).toContain(`Content-Range: bytes ${CHAIN_BYTES - 1}-${CHAIN_BYTES - 1}/${CHAIN_BYTES}`);
  }, 60_000);

  it("nbdkit's curl plugin makes a disk of it", async () => {
    const url = `url=${plain.uriOf('leaf.vmdk')}`;
    const size = await peers.nbdkit.ok([
      '-U',
      '-',
      'curl',
      url,
      '--run',
      `${peers.nbdinfo.path} --size "$uri"`,
    ]);
    expect(Number(size)).toBe(CHAIN_BYTES);
    const out = join(folder, 'nbdkit.raw');
    await peers.nbdkit.ok(['-U', '-', 'curl', url, '--run', `${peers.nbdcopy.path} "$uri" "${out}"`]);
    expect(hex(await readFile(out))).toBe(wanted());
  }, 60_000);

  it("QEMU's own driver reads what cat prints, and of every link, and over TLS that it may trust", async () => {
    const qemu = peers['qemu-img'];
    for (const disk of [chain.leaf, chain.mid, chain.base]) {
      const out = join(folder, 'qemu.raw');
      // One request at a time: with more of them this driver now and then waits for ever for an answer that it has had
      // (QEMU 7.2 on a busy machine, 14 of 360 conversions from nginx as well; none with -m 1).
      await qemu.ok(['convert', '-m', '1', '-f', 'raw', '-O', 'raw', plain.uriOf(basename(disk)), out]);
      const { stdout, code } = await vmdkit(['cat', disk]);
      expect([code, hex(await readFile(out))]).toEqual([0, hex(stdout)]);
    }
    const url = secure.uriOf('leaf.vmdk');
    const overTls = (trust: string): string =>
      `json:${JSON.stringify({ driver: 'raw', file: { driver: 'https', url, sslverify: trust } })}`;
    const raw = join(folder, 'wanted.raw');
    await writeFile(raw, chain.contents);
    await qemu.ok(['compare', overTls('off'), raw]);
    expect((await qemu.run(['compare', overTls('on'), raw])).stderr).toMatch(/certificate/);
  }, 60_000);
});

function hex(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

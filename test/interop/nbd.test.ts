// Our NBD server and everybody else's clients: libnbd's tools, QEMU, nbdkit with its filters in front, sleuthkit through
// nbdfuse. Whatever they read has the hash of the chain; whatever they write goes where it should, and nowhere else.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Bytes } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { openExports } from '../../src/serve/exports.ts';
import type { ExportSet, ServeOptions } from '../../src/serve/export-types.ts';
import { serveNbd, type NbdServer, type NbdServerOptions } from '../../src/serve/nbd-server.ts';
import { temporaryFolder } from '../support/command.ts';
import { goData, NbdClient, optionBytes, requestBytes } from '../support/nbd-client.ts';
import { describeWithPeer, type Peer } from '../support/peer-tools.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

const MIB = 1 << 20;
const GREETING = 'what the guest wrote\n';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
});
afterAll(() => remove());

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Serves disks while `work` runs. */
async function serving<T>(
  paths: readonly string[],
  work: (server: NbdServer, exports: ExportSet) => Promise<T>,
  options: ServeOptions = {},
  serverOptions: NbdServerOptions = {},
): Promise<T> {
  const exports = await openExports(
    paths.map((path) => ({ path })),
    options,
  );
  const server = await serveNbd(exports, serverOptions);
  try {
    return await work(server, exports);
  } finally {
    await server.close();
    await exports.close();
  }
}

async function hashes(): Promise<string[]> {
  const files = await Promise.all([chain.leaf, chain.mid, chain.base].map((path) => readFile(path)));
  return files.map(sha256);
}

describeWithPeer(['nbdinfo', 'nbdcopy', 'nbdsh'], 'libnbd', ({ nbdinfo, nbdcopy, nbdsh }) => {
  it('sees every link, what it can do, and the maps of both contexts', async () => {
    await serving([chain.leaf], async (server) => {
      const list = await nbdinfo.ok(['--list', '--json', server.uriOf()]);
      const { exports } = JSON.parse(list) as { exports: Record<string, unknown>[] };
      expect(exports.map((each) => each['export-name'])).toEqual(['leaf.vmdk', 'mid.vmdk', 'base.vmdk']);
      for (const each of exports) {
        expect(each).toMatchObject({ 'export-size': CHAIN_BYTES, is_read_only: true, can_multi_conn: true });
        expect(each['contexts']).toEqual(['base:allocation', 'qemu:allocation-depth']);
      }
      const map = async (name: string): Promise<unknown[]> =>
        JSON.parse(await nbdinfo.ok(['--map=' + name, '--json', server.uriOf()])) as unknown[];
      expect(await map('base:allocation')).toMatchObject([
        { offset: 0, length: MIB, type: 3 },
        { offset: MIB, length: 131_072, type: 0 },
        { offset: MIB + 131_072, length: 3 * MIB - 131_072, type: 3 },
        { offset: 4 * MIB, length: 65_536, type: 0 },
        { offset: 4 * MIB + 65_536, length: 4 * MIB - 65_536, type: 3 },
      ]);
      expect((await map('qemu:allocation-depth')).map((each) => (each as { type: number }).type)).toEqual([
        0, 3, 2, 1, 0, 1, 0,
      ]);
    });
  });

  it('copies what `cat` prints, by four connections at once, over TCP as well', async () => {
    await serving(
      [chain.leaf],
      async (server) => {
        const copy = join(folder, 'copy.raw');
        await nbdcopy.ok(['--connections=4', '--request-size=65536', server.uriOf('leaf.vmdk'), copy]);
        expect(sha256(await readFile(copy))).toBe(sha256(chain.contents));
      },
      {},
      { address: { kind: 'tcp', host: '127.0.0.1', port: 0 } },
    );
  });

  it('runs scripts: reads, writes, zeros, flags, errors, many requests under way', async () => {
    const before = await hashes();
    const script = `
import errno
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(URI)
h.set_strict_mode(0)
size = h.get_size()
assert size == ${CHAIN_BYTES} and not h.is_read_only() and h.can_fua() and h.can_fast_zero() and h.can_df()
assert h.pread(4, ${MIB}) == b"\\xb1" * 4 and h.pread(3, ${MIB} - 1) == b"\\0\\xb1\\xb1"
h.pwrite(b"hello", 77, nbd.CMD_FLAG_FUA)
assert h.pread(7, 76) == b"\\0hello\\0"
h.zero(65536, ${MIB}, nbd.CMD_FLAG_FAST_ZERO)
assert h.pread(65536, ${MIB}, nbd.CMD_FLAG_DF) == bytearray(65536)
h.trim(65536, ${4 * MIB})
h.cache(size, 0)
h.flush()
def fails(what, code):
    try:
        what()
        assert False
    except nbd.Error as ex:
        assert ex.errnum == code, ex
fails(lambda: h.pread(512, size), errno.EINVAL)
fails(lambda: h.pwrite(b"x" * 512, size), errno.ENOSPC)
fails(lambda: h.zero(10, 78, nbd.CMD_FLAG_FAST_ZERO), errno.ENOTSUP)
seen = []
def extent(context, offset, entries, err):
    seen.append((context, offset, entries))
h.block_status(size, 0, extent, nbd.CMD_FLAG_REQ_ONE)
assert seen[0][0] == "base:allocation" and seen[0][1] == 0 and len(seen[0][2]) == 2, seen
bufs = [nbd.Buffer(4096) for i in range(256)]
cookies = [h.aio_pread(b, (i * 37 % 2048) * 4096) for i, b in enumerate(bufs)]
while cookies:
    h.poll(-1)
    cookies = [c for c in cookies if not h.aio_command_completed(c)]
h.shutdown()
print("done")
`;
    // Debian's module is for Debian's Python, whatever other one comes first.
    const env = { PATH: `/usr/bin:${process.env['PATH']}` };
    const said = await serving(
      [chain.leaf],
      (server) => nbdsh.ok(['-c', script.replace('URI', JSON.stringify(server.uriOf()))], { env }),
      { overlay: 'temporary' },
    );
    expect(said).toBe('done\n');
    expect(await hashes()).toEqual(before);
  });
});

describeWithPeer(['qemu-img', 'qemu-io'], 'QEMU', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  it('describes, maps, compares and converts what we serve', async () => {
    await serving([chain.leaf], async (server) => {
      const uri = server.uriOf();
      expect(JSON.parse(await qemu.ok(['info', '--output=json', uri]))).toMatchObject({
        'virtual-size': CHAIN_BYTES,
      });
      const map = JSON.parse(await qemu.ok(['map', '--output=json', '-f', 'raw', uri])) as {
        data: boolean;
      }[];
      expect(map.map(({ data }) => data)).toEqual([false, true, false, true, false]);
      const raw = join(folder, 'qemu.raw');
      await qemu.ok(['convert', '-f', 'raw', '-O', 'raw', uri, raw]);
      expect(sha256(await readFile(raw))).toBe(sha256(chain.contents));
      await qemu.ok(['compare', '-f', 'raw', '-F', 'vmdk', uri, chain.leaf]);
      const other = await qemu.run([
        'compare',
        '-f',
        'raw',
        '-F',
        'vmdk',
        server.uriOf('base.vmdk'),
        chain.leaf,
      ]);
      expect(other.code).toBe(1);
    });
  });

  it('writes into an overlay that stays, and QEMU reads that overlay as it reads any chain', async () => {
    const before = await hashes();
    const over = join(folder, 'over.vmdk');
    await serving(
      [chain.leaf],
      async (server) => {
        const commands = [
          'write -P 0x55 3M 200k',
          'write -z -u 1M 64k',
          'discard 4M 64k',
          'flush',
          'read -P 0x55 3M 200k',
        ];
        const { code, stdout } = await io.run([
          '-f',
          'raw',
          ...commands.flatMap((each) => ['-c', each]),
          server.uriOf(),
        ]);
        expect({ code, stdout }).toMatchObject({ code: 0 });
        expect(stdout).not.toContain('failed');
      },
      { overlay: { file: over } },
    );
    expect(await hashes()).toEqual(before);
    const expected = Buffer.from(chain.contents);
    expected.fill(0x55, 3 * MIB, 3 * MIB + 200 * 1024);
    expected.fill(0, MIB, MIB + 65_536);
    expected.fill(0, 4 * MIB, 4 * MIB + 65_536);
    const raw = join(folder, 'over.raw');
    await qemu.ok(['convert', '-f', 'vmdk', '-O', 'raw', over, raw]);
    expect(sha256(await readFile(raw))).toBe(sha256(expected));
  });
});

describeWithPeer(
  ['nbdkit', 'nbdcopy', 'mke2fs'],
  'file systems in a chain',
  ({ nbdkit, nbdcopy, mke2fs }) => {
    let disk: string;
    const START = 2048 * 512;

    /** A delta above a disk with one partition, in it an ext4 with a file; the partition table is the delta's. */
    beforeAll(async () => {
      await mkdir(join(folder, 'tree'));
      await writeFile(join(folder, 'tree/greeting'), GREETING);
      const image = join(folder, 'ext4.raw');
      await mke2fs.ok(['-q', '-t', 'ext4', '-O', '^has_journal', '-d', join(folder, 'tree'), image, '6M']);
      const base = join(folder, 'fs-base.vmdk');
      disk = join(folder, 'fs.vmdk');
      await createDisk(base, bytes(8 * MIB));
      const below = await openChain(base, 'update');
      await writeBytes(below, START as Bytes, await readFile(image));
      await below.close();
      await createDelta(disk, base);
      const table = Buffer.alloc(512);
      table.writeUInt32LE(2048, 446 + 8);
      table.writeUInt32LE((6 * MIB) / 512, 446 + 12);
      table[446 + 4] = 0x83;
      table.writeUInt16BE(0x55aa, 510);
      const leaf = await openChain(disk, 'update');
      await writeBytes(leaf, 0 as Bytes, table);
      await leaf.close();
    });

    /** nbdkit in front of ours, for as long as a command runs. */
    async function through(
      server: NbdServer,
      filters: string[],
      parameters: string[],
      command: string,
    ): Promise<string> {
      const filter = filters.map((name) => `--filter=${name}`);
      return nbdkit.ok([
        '-U',
        '-',
        ...filter,
        'nbd',
        `uri=${server.uriOf()}`,
        ...parameters,
        '--run',
        command,
      ]);
    }

    it('are read by nbdkit: a partition, a file in it', async () => {
      await serving([disk], async (server) => {
        const read = `${nbdcopy.path} "$uri" - `;
        const file = await through(
          server,
          ['ext2', 'partition'],
          ['partition=1', 'ext2file=/greeting'],
          read,
        );
        expect(file).toBe(GREETING);
      });
    });

    it('are written by nbdkit over ours without a write to us, by its filter cow', async () => {
      await serving([disk], async (server) => {
        const command = `printf changed > ${folder}/c && truncate -s 8M ${folder}/c && ${nbdcopy.path} ${folder}/c "$uri" && ${nbdcopy.path} "$uri" - | head -c 7`;
        expect(await through(server, ['cow'], [], command)).toBe('changed');
      });
    });

    describeWithPeer(['nbdfuse', 'mmls', 'fls'], 'sleuthkit', ({ nbdfuse, mmls, fls }) => {
      it('finds the partition and the file through nbdfuse, where there is /dev/fuse', async () => {
        const mount = join(folder, 'mount');
        await mkdir(mount);
        await serving([disk], async (server) => {
          const found = await mounted(nbdfuse, mount, server.uriOf(), async (file) => {
            expect(await mmls.ok([file])).toContain('Linux (0x83)');
            expect(await fls.ok(['-o', '2048', file])).toContain('greeting');
          });
          if (!found)
            console.log('interop: nbdfuse cannot mount here (/dev/fuse): sleuthkit is not tried through it');
        });
      });
    });
  },
);

/** Runs `work` on the disk as a file; false where this system mounts nothing. */
async function mounted(
  nbdfuse: Peer,
  mount: string,
  uri: string,
  work: (file: string) => Promise<void>,
): Promise<boolean> {
  if (!existsSync('/dev/fuse')) return false;
  const file = join(mount, 'disk.raw');
  const pid = join(mount, '../nbdfuse.pid');
  const running = nbdfuse.run(['-P', pid, file, uri]);
  for (let tries = 0; !existsSync(file); tries++) {
    const ended = await Promise.race([
      running,
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 50)),
    ]);
    if (ended !== undefined || tries > 200) return false;
  }
  try {
    await work(file);
  } finally {
    process.kill(Number(await readFile(pid, 'utf8')), 'SIGTERM');
    await running;
  }
  return true;
}

describeWithPeer(['nbdinfo', 'qemu-img', 'openssl'], 'TLS', ({ nbdinfo, 'qemu-img': qemu, openssl }) => {
  let pki: string;

  beforeAll(async () => {
    pki = join(folder, 'pki');
    await mkdir(pki);
    const at = (name: string): string => join(pki, name);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    await openssl.ok([
      'req',
      '-x509',
      ...curve,
      '-subj',
      '/CN=authority',
      '-keyout',
      at('ca-key.pem'),
      '-out',
      at('ca-cert.pem'),
    ]);
    for (const [name, alt] of [
      ['server', 'DNS:localhost,IP:127.0.0.1'],
      ['client', 'DNS:client'],
    ] as const) {
      const key = at(`${name}-key.pem`);
      await openssl.ok([
        'req',
        ...curve.slice(0, -2),
        '-subj',
        `/CN=${name}`,
        '-keyout',
        key,
        '-out',
        at('request.pem'),
      ]);
      await writeFile(at('extensions'), `subjectAltName=${alt}\n`);
      const signing = ['-CA', at('ca-cert.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-days', '2'];
      await openssl.ok([
        'x509',
        '-req',
        '-in',
        at('request.pem'),
        ...signing,
        '-extfile',
        at('extensions'),
        '-out',
        at(`${name}-cert.pem`),
      ]);
    }
    // A client that has no certificate of its own, only the authority's.
    await mkdir(at('bare'));
    await writeFile(at('bare/ca-cert.pem'), await readFile(at('ca-cert.pem')));
  });

  const withTls = <T>(
    tls: object,
    work: (uri: (scheme: string, pki?: string) => string) => Promise<T>,
  ): Promise<T> =>
    serving(
      [chain.leaf],
      (server) => {
        const { address } = server;
        if (address.kind !== 'tcp') throw new Error('a port was expected');
        return work((scheme, certificates) => {
          const query = certificates === undefined ? '' : `?tls-certificates=${certificates}`;
          return `${scheme}://localhost:${address.port}/${query}`;
        });
      },
      {},
      { address: { kind: 'tcp', host: 'localhost', port: 0 }, tls: { certificates: pki, ...tls } },
    );

  it('carries libnbd and QEMU, and plain text gets nothing', async () => {
    await withTls({}, async (uri) => {
      const info = await nbdinfo.ok([uri('nbds', pki)]);
      expect(info).toMatch(/with TLS/);
      const plain = await nbdinfo.run([uri('nbd')]);
      expect(plain.code).not.toBe(0);
      const port = new URL(uri('nbd')).port;
      const raw = join(folder, 'tls.raw');
      const creds = `tls-creds-x509,id=tls,dir=${pki},endpoint=client`;
      const source = `driver=nbd,host=localhost,port=${port},tls-creds=tls`;
      await qemu.ok(['convert', '--object', creds, '--image-opts', source, '-O', 'raw', raw]);
      expect(sha256(await readFile(raw))).toBe(sha256(chain.contents));
    });
  });

  it('answers nothing but STARTTLS in plain text, and trusts nothing that came before it', async () => {
    const [ACK, TLS_REQUIRED, INVALID] = [1, 2 ** 31 + 5, 2 ** 31 + 3];
    await withTls({}, async (uri) => {
      const address = { kind: 'tcp', host: 'localhost', port: Number(new URL(uri('nbd')).port) } as const;
      const client = await NbdClient.connect(address);
      for (const [option, data] of [[3], [6, goData('')], [7, goData('')], [8], [9], [99]] as const) {
        expect(await client.option(option, data)).toMatchObject([{ type: TLS_REQUIRED }]);
      }
      expect((await client.option(5))[0]!.type).toBe(ACK);
      await client.startTls({ ca: await readFile(join(pki, 'ca-cert.pem')), servername: 'localhost' });
      expect((await client.option(5))[0]!.type).toBe(INVALID);
      expect(await client.go('mid.vmdk')).toMatchObject({ size: CHAIN_BYTES });
      const [chunk] = await client.ask({ type: 0, flags: 4, offset: 0, length: CHAIN_BYTES });
      expect(chunk!.data.length).toBe(8 + CHAIN_BYTES);
      client.send(requestBytes({ type: 2 }));
      await client.whenClosed();
      const hasty = await NbdClient.connect(address);
      hasty.send(Buffer.concat([optionBytes(5), optionBytes(3)]));
      expect(await hasty.optionReplies()).toMatchObject([{ type: ACK }]);
      await hasty.whenClosed();
      const named = await NbdClient.connect(address);
      named.send(optionBytes(1, Buffer.from('leaf.vmdk')));
      await named.whenClosed();
    });
  });

  it('asks clients for a certificate where that is wanted, and allows plain text where that is', async () => {
    await withTls({ verifyClients: true, required: true }, async (uri) => {
      await nbdinfo.ok(['--size', uri('nbds', pki)]);
      expect((await nbdinfo.run(['--size', uri('nbds', join(pki, 'bare'))])).code).not.toBe(0);
    });
    await withTls({ required: false }, async (uri) => {
      expect(await nbdinfo.ok(['--size', uri('nbd')])).toBe(`${CHAIN_BYTES}\n`);
      expect(await nbdinfo.ok(['--size', uri('nbds', pki)])).toBe(`${CHAIN_BYTES}\n`);
    });
  });
});

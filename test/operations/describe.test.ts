// Descriptions of disks and chains as the library gives them, in memory: they judge as opening does, and never open
// what a disk must not lead to.
import { beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { describeChain, describeDisk, describeLinks } from '../../src/operations/describe-chain.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeSmallChain } from '../support/small-chain.ts';

let store: FileStore;
const opened: string[] = [];

/** Remembers what is opened. */
function watched(fs: FileStore): FileStore {
  const open = (path: string, mode: 'read' | 'update') => {
    opened.push(path);
    return mode === 'read' ? fs.open(path, 'read') : fs.open(path, 'update');
  };
  return { ...fs, open: open as FileStore['open'] };
}

beforeEach(async () => {
  const memory = createMemoryFileStore({ '/secret': Buffer.from('root:x:0:0\n') });
  await memory.makeFolder('/vm');
  await makeSmallChain('/vm', memory);
  opened.length = 0;
  store = watched(memory);
});

const put = async (path: string, text: string): Promise<void> => store.replace(path, Buffer.from(text));
const flat = (name: string, head = 'CID=1\nparentCID=ffffffff'): string =>
  `version=1\n${head}\ncreateType="monolithicFlat"\nRW 8 FLAT "${name}" 0\n`;

describe('describing', () => {
  it('says the same of a link alone and within its chain', async () => {
    const { reports, failure } = await describeLinks('/vm/leaf.vmdk', { fs: store });
    expect(failure).toBeUndefined();
    const alone = ['leaf', 'mid', 'base'].map((name) => describeDisk(`/vm/${name}.vmdk`, { fs: store }));
    expect(reports).toEqual(await Promise.all(alone));
  });

  it('finds in a chain what opening finds, and what stops opening', async () => {
    const chain = await openChain('/vm/leaf.vmdk', 'read', { fs: store });
    await chain.close();
    const sound = await describeChain('/vm/leaf.vmdk', { fs: store });
    expect([sound.report.findings, sound.failure]).toEqual([chain.findings, undefined]);
    await store.remove('/vm/base.vmdk');
    const broken = await describeChain('/vm/leaf.vmdk', { fs: store });
    const failure: unknown = await openChain('/vm/leaf.vmdk', 'read', { fs: store }).catch(
      (error: unknown) => error,
    );
    expect(broken.failure).toEqual(failure);
    expect(broken.report.links.map(({ filename }) => filename)).toEqual(['/vm/leaf.vmdk', '/vm/mid.vmdk']);
  });

  it('stops at a chain that leads back to itself', async () => {
    const head = 'CID=00000001\nparentCID=00000001\nparentFileNameHint="loop.vmdk"';
    await put('/vm/loop.vmdk', flat('loop-flat.vmdk', head));
    await put('/vm/loop-flat.vmdk', '\0'.repeat(4096));
    const { report, failure } = await describeChain('/vm/loop.vmdk', { fs: store });
    expect(failure?.code).toBe('chain-cycle');
    expect(report.links).toHaveLength(1);
  });

  it.each([
    ['/secret', 'outside-allowed-folders'],
    ['../secret', 'outside-allowed-folders'],
    ['json:{"driver":"file"}', 'not-a-file'],
    ['nbd://127.0.0.1/x', 'not-a-file'],
    ['/dev/sda', 'raw-device'],
    ['gone-flat.vmdk', 'extent-missing'],
  ])('tells why an extent named %s is not opened, and does not open it', async (name, code) => {
    await put('/vm/odd.vmdk', flat(name.replaceAll('"', '')));
    const report = await describeDisk('/vm/odd.vmdk', { fs: store });
    expect(report).toMatchObject({ readable: false, reason: { code }, 'virtual-size': 4096 });
    expect(opened).not.toContain('/secret');
  });

  it('does not look at a parent outside, and says so', async () => {
    await put(
      '/vm/child.vmdk',
      flat('child-flat.vmdk', 'CID=2\nparentCID=1\nparentFileNameHint="/etc/passwd"'),
    );
    await put('/vm/child-flat.vmdk', '\0'.repeat(4096));
    const report = await describeDisk('/vm/child.vmdk', { fs: store });
    expect(report.findings).toMatchObject([{ code: 'PARENT-MISSING' }]);
    expect(opened).not.toContain('/etc/passwd');
  });
});

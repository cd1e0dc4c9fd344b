// Which link answers, what is slack, what contradicts itself, what happened when: on small chains in memory.
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chain } from '../../src/chain/chain.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { sectors } from '../../src/core/units.ts';
import { findSigns, findSnapshotSigns, type LinkHistory } from '../../src/examine/signs.ts';
import { findSlack, type SlackItem } from '../../src/examine/slack.ts';
import { readTimeline } from '../../src/examine/timeline.ts';
import { whichLink } from '../../src/examine/which.ts';
import type { Snapshot } from '../../src/format/vmsd.ts';
import type { FileStore, FileTimes } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

const MIB = 1 << 20;
const GRAIN = 64 << 10;
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const DAY = 86_400_000_000_000n;
const NOON = BigInt(Date.UTC(2026, 2, 1, 12)) * 1_000_000n;

let store: FileStore;
let small: SmallChain;
let times: Map<string, bigint>;

beforeEach(async () => {
  const memory = createMemoryFileStore();
  times = new Map();
  const timesOf = (path: string): Promise<FileTimes> => {
    const modified = times.get(path) ?? NOON;
    return Promise.resolve({ modified, changed: modified, accessed: modified });
  };
  store = { ...memory, times: timesOf };
  small = await makeSmallChain('/', store);
});

async function withLeaf<T>(work: (chain: Chain) => Promise<T>, options: ChainOptions = {}): Promise<T> {
  const chain = await openChain(small.leaf, 'read', { ...options, fs: store });
  try {
    return await work(chain);
  } finally {
    await chain.close();
  }
}

describe('whichLink', () => {
  it('says who answers, where the bytes are, and what lies below', async () => {
    await withLeaf(async (chain) => {
      const answer = await whichLink(chain, (MIB + GRAIN) / 512);
      expect(answer.answeredBy).toBe(1);
      expect(answer.links.map(({ state }) => state)).toEqual(['absent', 'data', 'data']);
      const hashes = [0xb2, 0xb1].map((byte) => sha256(Buffer.alloc(512, byte)));
      expect(answer.links.slice(1).map((link) => link.sha256)).toEqual(hashes);
      expect(answer.sha256).toBe(hashes[0]);
      const { file, offset } = answer.links[1]!;
      const opened = await store.open(file!, 'read');
      const bytes = Buffer.alloc(512);
      await opened.readExactly(bytes, offset!);
      await opened.close();
      expect(bytes).toEqual(Buffer.alloc(512, 0xb2));
    });
  });

  it('tells zeros that hide data, and what nobody has', async () => {
    await withLeaf(async (chain) => {
      const hidden = await whichLink(chain, (MIB + 2 * GRAIN) / 512);
      expect(hidden).toMatchObject({ answeredBy: 0, sha256: sha256(Buffer.alloc(512)) });
      expect(hidden.links.map(({ state }) => state)).toEqual(['zero', 'absent', 'data']);
      const nobody = await whichLink(chain, 0);
      expect(nobody.answeredBy).toBeUndefined();
      await expect(whichLink(chain, 8 * 2048)).rejects.toMatchObject({ code: 'usage' });
    });
  });

  it('does not call zero what a lost parent had', async () => {
    await store.rename(small.base, '/elsewhere');
    await withLeaf(
      async (chain) => {
        const answer = await whichLink(chain, 0);
        expect(answer.answeredBy).toBeUndefined();
        expect(answer.sha256).toBeUndefined();
      },
      { damaged: { fill: 0 } },
    );
  });
});

describe('findSlack', () => {
  const slackOf = (): Promise<{ items: SlackItem[]; bytes: Buffer[] }> =>
    withLeaf(async (chain) => {
      const [items, bytes]: [SlackItem[], Buffer[]] = [[], []];
      const onItem = async (item: SlackItem, contents: () => AsyncIterable<Uint8Array>): Promise<void> => {
        const pieces: Buffer[] = [];
        for await (const piece of contents()) pieces.push(Buffer.from(piece));
        items.push(item);
        bytes.push(Buffer.concat(pieces));
      };
      await findSlack(chain, { fs: store, onItem });
      return { items, bytes };
    });

  it('finds none where there is none', async () => expect((await slackOf()).items).toEqual([]));

  it('finds space that nothing refers to, with what it holds', async () => {
    const file = await store.open(small.base, 'update');
    const end = Math.ceil((await file.size()) / 512) * 512;
    await file.write(Buffer.alloc(2 * GRAIN), end);
    await file.write(Buffer.from('# Disk DescriptorFile of old'), end + GRAIN);
    await file.close();
    const { items, bytes } = await slackOf();
    expect(items).toMatchObject([
      { kind: 'unreferenced', depth: 2, path: '/base.vmdk', length: 2 * GRAIN, note: 'holds a descriptor' },
    ]);
    expect(items[0]!.offset).toBe(end);
    expect(sha256(bytes[0]!)).toBe(items[0]!.sha256);
    expect(bytes[0]!.includes('of old')).toBe(true);
  });

  it('finds grains of a delta that say what is below already', async () => {
    const chain = await openChain(small.leaf, 'update', { fs: store });
    await chain.write(sectors((MIB + GRAIN) / 512), Buffer.alloc(GRAIN, 0xb2));
    await chain.close();
    const { items, bytes } = await slackOf();
    expect(items).toMatchObject([
      { kind: 'same-as-below', depth: 0, path: '/leaf.vmdk', sector: (MIB + GRAIN) / 512, length: GRAIN },
    ]);
    expect(Buffer.alloc(GRAIN, 0xb2).equals(bytes[0]!)).toBe(true);
  });
});

describe('findSigns', () => {
  const codes = (history?: ReadonlyMap<string, LinkHistory>): Promise<string[]> =>
    withLeaf(async (chain) => (await findSigns(store, { chain, history })).map(({ code }) => code), {
      acceptMismatch: true,
    });
  const snapshot = (uid: number, nanos: bigint, parentUid?: number): Snapshot => ({
    index: uid,
    uid,
    ...(parentUid === undefined ? {} : { parentUid }),
    displayName: `s${uid}`,
    description: '',
    createdMicros: nanos / 1000n,
    createdAt: new Date(Number(nanos / 1_000_000n)).toISOString(),
    disks: [],
    clones: [],
  });
  const historyOf = (link: 0 | 1 | 2, known: LinkHistory): Promise<Map<string, LinkHistory>> =>
    withLeaf((chain) => Promise.resolve(new Map([[chain.links[link]!.identity, known]])));
  const edit = async (path: string, from: RegExp, to: string): Promise<void> => {
    const file = await store.open(path, 'update');
    const text = Buffer.alloc(1024);
    await file.readExactly(text, 512);
    const edited = text.toString('latin1').replace(from, to);
    expect(edited).not.toBe(text.toString('latin1'));
    await file.write(Buffer.from(edited, 'latin1').subarray(0, 1024), 512);
    await file.close();
  };

  it('finds none in a chain that was made well', async () => expect(await codes()).toEqual([]));

  it('finds a base that was changed under its delta', async () => {
    await edit(small.base, /CID=[0-9a-f]{8}/, 'CID=12345678');
    expect(await codes()).toContain('CHAIN-CID');
  });

  it('finds a delta that was written to and kept the CID of its parent', async () => {
    const parent = await withLeaf((chain) => Promise.resolve(chain.links[1]!.descriptor.cid!));
    await edit(small.leaf, /CID=[0-9a-f]{8}/, `CID=${parent.toString(16).padStart(8, '0')}`);
    expect(await codes()).toContain('SIGN-CID-KEPT');
  });

  it('finds files that were written after a snapshot froze them, or before they began', async () => {
    times.set(small.base, NOON + DAY);
    expect(await codes(await historyOf(2, { frozenBy: snapshot(1, NOON) }))).toContain('SIGN-WRITTEN-LATER');
    times.set(small.base, NOON);
    expect(await codes(await historyOf(1, { begunBy: snapshot(1, NOON + DAY) }))).toContain(
      'SIGN-WRITTEN-EARLIER',
    );
  });

  it('finds a parent that was written later than its delta, without any snapshot', async () => {
    times.set(small.base, NOON + DAY);
    expect(await codes()).toEqual(['SIGN-PARENT-LATER']);
  });

  it('finds a hint that means another name, and a link that was never closed', async () => {
    await store.rename(small.base, '/other.vmdk');
    expect(await codes()).toContain('SIGN-NAME');
    const file = await store.open(small.mid, 'update');
    await file.write(Buffer.from([1]), 72);
    await file.close();
    expect(await codes()).toContain('SIGN-UNCLEAN');
  });

  it('finds snapshots out of order, and younger than what records them', async () => {
    const found = await findSnapshotSigns(store, '/vm.vmsd', [
      snapshot(1, NOON - DAY),
      snapshot(2, NOON - 2n * DAY, 1),
      snapshot(3, NOON + DAY, 2),
    ]);
    expect(found.map(({ code }) => code)).toEqual(['SIGN-SNAPSHOT-ORDER', 'SIGN-SNAPSHOT-FUTURE']);
  });
});

describe('readTimeline', () => {
  it('puts snapshots, files and lines of logs in one order', async () => {
    const log = [
      '2026-02-28T09:00:00.250Z| vmx| I005: Log for VMware ESX pid=1',
      '2026-02-28T12:00:00.000+01:00| vmx| I005: DISK: OPEN scsi0:0 base.vmdk',
      '2026-03-01T12:30:00.123Z In(05) vmx - SnapshotVMXTakeSnapshot done',
      '2026-03-01T12:31:00Z| vmx| I005: nothing of interest here',
      'Mar 05 12:00:01.123: vmx| DISKLIB-DSCPTR: old',
      '\tgoes on',
    ];
    await store.replace('/vmware.log', Buffer.from(log.join('\r\n')));
    times.set('/base.vmdk', NOON + 60_000_000_000n);
    const snapshots: Snapshot[] = [
      {
        index: 0,
        uid: 1,
        displayName: 'one',
        description: '',
        createdMicros: NOON / 1000n,
        disks: [],
        clones: [],
      },
    ];
    const { cid, createType } = await withLeaf((chain) =>
      Promise.resolve({ cid: chain.links[2]!.descriptor.cid, createType: chain.links[2]!.createType }),
    );
    const link = { path: '/base.vmdk', createType, cid, parentCid: 0xffffffff, files: ['/base.vmdk'] };
    const { events, notes } = await readTimeline(store, {
      links: [link],
      snapshots,
      vmsdPath: '/vm.vmsd',
      files: [],
      logs: ['/vmware.log'],
    });
    expect(events.map(({ kind, line }) => [kind, line])).toEqual([
      ['log', 1],
      ['log', 2],
      ['snapshot', undefined],
      ['modified', undefined],
      ['log', 3],
    ]);
    expect(events[1]!.nanos).toBe(BigInt(Date.UTC(2026, 1, 28, 11)) * 1_000_000n);
    expect(events[3]!.text).toContain(`CID ${cid!.toString(16).padStart(8, '0')}`);
    expect(notes).toEqual(['/vmware.log: 1 lines have no year or zone, and so no place']);
  });
});

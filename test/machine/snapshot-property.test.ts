// Random work on a machine and its snapshots against a plain model: after each step every remaining point reads as the
// model says, and the files of disks that had nothing to do with the step are byte for byte as they were.
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import type { SnapshotReport } from '../../src/machine/snapshot-types.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { buildMachine, hashesIn, readDisk, type ModelNode } from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';

const VMX = '/m/golden.vmx';
const SECTORS = 1200;

type Step =
  | { readonly do: 'write' | 'zero'; readonly at: number; readonly count: number; readonly seed: number }
  | { readonly do: 'create' }
  | { readonly do: 'revert'; readonly pick: number }
  | { readonly do: 'delete'; readonly pick: number; readonly children: boolean; readonly inPlace: boolean };

const number = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('write', 'zero'),
      at: fc.nat(SECTORS - 1),
      count: fc.integer({ min: 1, max: 400 }),
      seed: number,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revert' as const), pick: number }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      pick: number,
      children: fc.boolean(),
      inPlace: fc.boolean(),
    }),
  },
) as fc.Arbitrary<Step>;

/** What the machine must be. */
interface Expected {
  running: Buffer;
  current: number | undefined;
  readonly snapshots: Map<number, { readonly contents: Buffer; parent: number | undefined }>;
}

const starts = new Map<ModelNode, FileStore>();
const NODES: readonly ModelNode[] = ['scsi0:0', 'sata0:1', 'nvme0:0'];

beforeAll(async () => {
  for (const node of NODES) {
    const store = createMemoryFileStore();
    await buildMachine(store, '/m', { nodes: [node], snapshots: false, sectors: SECTORS });
    starts.set(node, store);
  }
});

async function apply(
  store: FileStore,
  expected: Expected,
  work: Step,
  uids: { last: number },
): Promise<void> {
  const picked =
    'pick' in work
      ? [...expected.snapshots.keys()].at(work.pick % Math.max(1, expected.snapshots.size))
      : undefined;
  switch (work.do) {
    case 'write':
    case 'zero': {
      const chain = await openChain(disksAt(await openMachine(VMX, { fs: store }))[0]!.path, 'update', {
        fs: store,
      });
      const count = Math.min(work.count, SECTORS - work.at);
      const data =
        work.do === 'write' ? pattern(count * SECTOR_BYTES, work.seed) : Buffer.alloc(count * SECTOR_BYTES);
      if (work.do === 'write') await chain.write(work.at as Sectors, data);
      else await chain.zero({ start: work.at as Sectors, count: count as Sectors });
      await chain.close();
      expected.running = Buffer.from(expected.running);
      expected.running.set(data, work.at * SECTOR_BYTES);
      return;
    }
    case 'create':
      await createSnapshot(VMX, { name: `s${++uids.last}` }, { fs: store, durable: false });
      expected.snapshots.set(uids.last, { contents: expected.running, parent: expected.current });
      expected.current = uids.last;
      return;
    case 'revert':
      if (picked === undefined) return;
      await revertSnapshot(VMX, `uid:${picked}`, { fs: store, durable: false, force: true });
      expected.running = expected.snapshots.get(picked)!.contents;
      expected.current = picked;
      return;
    case 'delete': {
      if (picked === undefined) return;
      const before = await hashesIn(store, '/m');
      const report = await deleteSnapshot(VMX, `uid:${picked}`, {
        fs: store,
        durable: false,
        children: work.children,
        inPlace: work.inPlace,
      });
      await expectOthersUntouched(store, before, report);
      const going = [picked];
      if (work.children)
        for (let at = 0; at < going.length; at++)
          for (const [uid, { parent }] of expected.snapshots) if (parent === going[at]) going.push(uid);
      for (const uid of going.toReversed()) {
        const { parent } = expected.snapshots.get(uid)!;
        expected.snapshots.delete(uid);
        for (const other of expected.snapshots.values()) if (other.parent === uid) other.parent = parent;
        if (expected.current === uid) expected.current = parent;
      }
    }
  }
}

/** What the report does not name is as it was. */
async function expectOthersUntouched(
  store: FileStore,
  before: Map<string, string>,
  report: SnapshotReport,
): Promise<void> {
  const named = new Set(
    [...report.changed, ...report.removed, ...report.created].map((path) => path.slice('/m/'.length)),
  );
  const after = await hashesIn(store, '/m');
  for (const [name, hash] of before)
    if (!named.has(name)) expect([name, after.get(name)]).toEqual([name, hash]);
  for (const name of after.keys()) expect(before.has(name) || named.has(name), name).toBe(true);
}

async function verify(store: FileStore, expected: Expected): Promise<void> {
  const machine = await openMachine(VMX, { fs: store });
  expect(machine.findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  expect(machine.snapshots.currentUid).toBe(expected.current);
  expect(machine.snapshots.snapshots.map(({ uid, parentUid }) => [uid, parentUid])).toEqual(
    [...expected.snapshots].map(([uid, { parent }]) => [uid, parent]),
  );
  const same = async (path: string, contents: Buffer): Promise<boolean> =>
    (await readDisk(store, path)).equals(contents);
  expect(await same(disksAt(machine)[0]!.path, expected.running), 'running').toBe(true);
  for (const [uid, { contents }] of expected.snapshots) {
    const [disk] = disksAt(machine, findSnapshot(machine, `uid:${uid}`));
    expect([uid, await same(disk!.path, contents)]).toEqual([uid, true]);
  }
  // Nothing lies about that nobody reads: every disk is a link of a point.
  const links = new Set(
    [...machine.disks, ...[...machine.snapshotDisks.values()].flat()].flatMap((disk) =>
      disk.links.flatMap(({ files }) => files),
    ),
  );
  const files = (await store.list('/m')).filter((name) => name.endsWith('.vmdk')).map((name) => `/m/${name}`);
  expect(files.filter((path) => !links.has(path))).toEqual([]);
}

describe('a machine with snapshots', () => {
  it.each(NODES)('keeps every point through random work: %s', async (node) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const store = await memoryCopyOf(starts.get(node)!);
        const running = await readDisk(store, disksAt(await openMachine(VMX, { fs: store }))[0]!.path);
        const expected: Expected = { running, current: undefined, snapshots: new Map() };
        const uids = { last: 0 };
        for (const work of steps) {
          await apply(store, expected, work, uids);
          await verify(store, expected);
        }
      }),
      { numRuns: 12, seed: 20260301 },
    );
  });
});

// A merge in place that was stopped, and every command that is then tried on the tree: what would make a mix the content
// of a disk, or take away what alone can finish the merge, is refused; what harms nothing goes on, and the merge ends.
import { posix } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import type { Progress } from '../../src/core/task.ts';
import { HALF_MERGED_KEY } from '../../src/format/half-merged.ts';
import { assertReplaceable } from '../../src/machine/assert-replaceable.ts';
import { cloneMachine } from '../../src/machine/clone-machine.ts';
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { consolidateDisk } from '../../src/machine/consolidate-disk.ts';
import { consolidateSnapshots } from '../../src/machine/consolidate-machine.ts';
import { rewriteDescriptor } from '../../src/machine/descriptor-change.ts';
import type { MachineCloneRequest } from '../../src/machine/machine-clone-types.ts';
import { setGuard } from '../../src/machine/guard.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { promoteDisk } from '../../src/machine/promote-disk.ts';
import { rebaseDisk } from '../../src/machine/rebase-disk.ts';
import { removeClones } from '../../src/machine/remove.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { resizeTree } from '../../src/machine/resize-tree.ts';
import { shadowDisk } from '../../src/machine/shadow-disk.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { compactDisk } from '../../src/operations/compact-disk.ts';
import { convertDisk, convertToStream } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createDifferenceDelta } from '../../src/operations/difference-delta.ts';
import { measureDisk } from '../../src/operations/measure-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { cloned, contentOf } from '../support/clone-bench.ts';
import { expectRefused } from '../support/expect-refused.ts';
import { pattern } from '../support/chain-model.ts';
import { writeText } from '../support/scan-model.ts';
import { buildMachine, type MachineModel, type ModelPoint } from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';
import { ModelTree, type ModelDisk } from '../support/tree-model.ts';

type Name = 'base' | 'mid' | 'half' | 'between' | 'source' | 'above' | 'other';

let made: FileStore;
let fs: FileStore;
const at = {} as Record<Name, string>;
const contents = new Map<Name, Buffer>();

/** base ← mid ← half ← between ← source ← above, and base ← other: source into half, stopped when the data was there. */
beforeAll(async () => {
  const tree = await ModelTree.open(createMemoryFileStore());
  const base = await tree.addBase(0);
  const mid = await tree.addDelta(base, 11);
  const half = await tree.addDelta(mid, 20);
  await writeBoth(tree, half, 0, pattern(100 * SECTOR_BYTES, 7));
  const between = await tree.addDelta(half, 25);
  const source = await tree.addDelta(between, 35);
  const above: ModelDisk = { path: tree.newPath(5), parent: source, content: source.content };
  const other = await tree.addDelta(base, 12);
  made = tree.store;
  for (const [name, disk] of Object.entries({ base, mid, half, between, source, above, other })) {
    at[name as Name] = disk.path;
    contents.set(name as Name, disk.content);
  }
  await writeBoth(tree, source, 20, Buffer.alloc(60 * SECTOR_BYTES));
  await writeBoth(tree, source, 200, pattern(50 * SECTOR_BYTES, 8));
  const stop = new AbortController();
  const onProgress = ({ phase, done }: Progress): void => {
    // The data is there, and the zeros are not.
    if (phase === 'copying' && done > 0) stop.abort(new Error('stopped'));
  };
  const options = { fs: made, into: at.half, inPlace: true, remove: true, onProgress, signal: stop.signal };
  await expect(commitDisk(at.source, options)).rejects.toThrow('stopped');
  await createDelta(at.above, at.source, { fs: made });
});

async function writeBoth({ store }: ModelTree, disk: ModelDisk, start: number, data: Buffer): Promise<void> {
  const chain = await openChain(disk.path, 'update', { fs: store });
  if (data.includes(1)) await chain.write(start as Sectors, data);
  else await chain.zero(sectorRange(start, data.length / SECTOR_BYTES));
  await chain.close();
  data.copy(disk.content, start * SECTOR_BYTES);
}

beforeEach(async () => {
  fs = await memoryCopyOf(made);
});

async function expectContents(...names: Name[]): Promise<void> {
  for (const name of names) {
    const same = (await contentOf(fs, at[name])).equals(contents.get(name)!);
    expect({ name, same }).toEqual({ name, same: true });
  }
}

async function differenceTo(path: string): Promise<unknown> {
  const [mid, other] = [await openChain(at.mid, 'read', { fs }), await openChain(path, 'read', { fs })];
  try {
    return await createDifferenceDelta('/t/a/new.vmdk', mid, other, { fs });
  } finally {
    await mid.close();
    await other.close();
  }
}

describe('a disk that is half merged', () => {
  it('is a mix by itself, and all above what was being merged read as before', async () => {
    const alone = await contentOf(fs, at.half);
    expect(alone.equals(contents.get('half')!)).toBe(false);
    expect(alone.equals(contents.get('source')!)).toBe(false);
    await expectContents('base', 'mid', 'source', 'above', 'other');
    const { problems } = await checkDisk(at.half, { fs });
    expect(problems).toMatchObject([{ code: 'DESC-HALF-MERGED', severity: 'error' }]);
  });

  const half = (): string => at.half;
  const between = (): string => at.between;
  const mixes: [string, (path: string) => Promise<unknown>][] = [
    ['convert', (path) => convertDisk(path, '/t/a/new.vmdk', { fs })],
    ['convert to a stream', (path) => convertToStream(path, async () => {}, { fs })],
    ['measure', (path) => measureDisk(path, { fs })],
    ['convert onto it', (path) => convertDisk(at.above, '/t/a/new.vmdk', { fs, backing: path })],
    ['create a delta', (path) => createDelta('/t/a/new.vmdk', path, { fs })],
    ['clone', (path) => cloned({ bases: [path], into: '/t/a' }, { fs })],
    ['commit', (path) => commitDisk(path, { fs, force: true })],
    ['commit over several', (path) => commitDisk(path, { fs, into: at.base, force: true })],
    ['consolidate', (path) => consolidateDisk(path, { fs, force: true })],
    ['promote', (path) => promoteDisk(path, { fs })],
    ['shadow', (path) => shadowDisk(path, { fs, to: '/t/a/new.vmdk' })],
    ['rebase', (path) => rebaseDisk(path, { fs, backing: at.other })],
    ['rebase --unsafe', (path) => rebaseDisk(path, { fs, backing: at.other, unsafe: true, force: true })],
    ['rebase onto it', (path) => rebaseDisk(at.other, { fs, backing: path })],
    ['rebase onto it --unsafe', (path) => rebaseDisk(at.other, { fs, backing: path, unsafe: true })],
    ['rename', (path) => renameDisk(path, '/t/a/new.vmdk', { fs })],
    ['diff -o DELTA', (path) => differenceTo(path)],
  ];
  for (const [name, change] of mixes) {
    it.each([
      ['the disk', half],
      ['a disk that reads through it', between],
    ])(`is no content for others: ${name}, %s`, async (_what, path) => {
      const names = [at.half, `vmdkit commit ${at.source} --into ${at.half} --in-place`];
      await expectRefused(fs, '/t', () => change(path()), 'half-merged', ...names);
    });
  }

  it('is nothing to be guarded: its contents are to change', async () => {
    await expectRefused(fs, '/t', () => setGuard(at.half, { fs, force: true }), 'half-merged', at.half);
  });

  it('is copied as it is when that is asked for: convert --salvage', async () => {
    await convertDisk(at.half, '/t/a/new.vmdk', { fs, type: 'monolithicSparse', salvage: true });
    expect((await contentOf(fs, '/t/a/new.vmdk')).equals(await contentOf(fs, at.half))).toBe(true);
    expect((await checkDisk('/t/a/new.vmdk', { fs })).problems).toEqual([]);
  });
});

describe('the disk that was being merged', () => {
  const leaving: [string, () => Promise<unknown>][] = [
    ['commit it lower down', () => commitDisk(at.source, { fs, into: at.mid })],
    ['consolidate it upwards', () => consolidateDisk(at.above, { fs, above: at.half })],
    ['promote', () => promoteDisk(at.source, { fs })],
    ['rebase onto another', () => rebaseDisk(at.source, { fs, backing: at.other })],
    ['rebase onto nothing', () => rebaseDisk(at.source, { fs, backing: undefined })],
    ['rebase --unsafe', () => rebaseDisk(at.source, { fs, backing: at.mid, unsafe: true, force: true })],
    ['move to a shadow', () => shadowDisk(at.other, { fs, to: '/t/a/new.vmdk', move: [at.source] })],
    ['remove', () => removeClones([at.above, at.source], { fs, force: true })],
    ['replace it by a copy', () => assertReplaceable(fs, at.source)],
    ['rename', () => renameDisk(at.source, '/t/a/new.vmdk', { fs })],
  ];
  const names = (): string[] => [at.half, `vmdkit commit ${at.source}`];
  it.each(leaving)('stays where it is: %s', async (_name, change) => {
    await expectRefused(fs, '/t', change, 'half-merged', ...names());
  });

  it('stays when only the half merged one would: commit --remove from above, lower down', async () => {
    await createDelta('/t/a/new.vmdk', at.other, { fs });
    await rewriteDescriptor(fs, '/t/a/new.vmdk', { parentFileNameHint: at.half });
    const change = () => commitDisk(at.above, { fs, into: at.base, remove: true });
    await expectRefused(fs, '/t', change, 'half-merged', ...names());
  });
});

describe('what harms nothing goes on, and the merge is finished then', () => {
  const harmless: [string, () => Promise<unknown>][] = [
    ['nothing', async () => {}],
    ['a copy of what is whole', () => convertDisk(at.above, '/t/a/new.vmdk', { fs })],
    ['a shadow of what is whole', () => shadowDisk(at.source, { fs, to: '/t/a/new.vmdk', move: [at.above] })],
    ['a delta above', () => createDelta('/t/a/new.vmdk', at.above, { fs })],
    ['promote above', () => promoteDisk(at.above, { fs })],
    ['rebase above', () => rebaseDisk(at.above, { fs, backing: at.other })],
    [
      'rename above, and back',
      async () => {
        await renameDisk(at.above, '/t/c/new.vmdk', { fs });
        await renameDisk('/t/c/new.vmdk', at.above, { fs });
      },
    ],
    ['compact the half merged', () => compactDisk(at.half, { fs })],
    ['compact the other', () => compactDisk(at.source, { fs })],
    ['commit below, away from it', () => commitDisk(at.mid, { fs })],
  ];
  it.each(harmless)('%s', async (_name, change) => {
    await change();
    const { problems } = await checkDisk(at.half, { fs });
    expect(problems.map(({ code }) => code)).toEqual(['DESC-HALF-MERGED']);
    await finish();
  });

  it('another size', async () => {
    const grown = 64 * SECTOR_BYTES;
    await resizeTree(at.base, bytes(contents.get('base')!.length + grown), { fs, force: true });
    await finish(grown);
  });

  it('all of it becomes one disk', async () => {
    await consolidateDisk(at.above, { fs });
    await expectContents('above');
    expect(await fs.exists(at.half)).toBe(false);
  });

  it('the same merge without --in-place, which makes it anew', async () => {
    await commitDisk(at.source, { fs, into: at.half });
    await expectContents('source');
    expect((await contentOf(fs, at.half)).equals(contents.get('source')!)).toBe(true);
    expect((await checkDisk(at.half, { fs })).problems).toEqual([]);
  });

  async function finish(grown = 0): Promise<void> {
    const source = Buffer.concat([contents.get('source')!, Buffer.alloc(grown)]);
    expect((await contentOf(fs, at.source)).equals(source)).toBe(true);
    await commitDisk(at.source, { fs, into: at.half, inPlace: true, remove: true });
    expect((await contentOf(fs, at.half)).equals(source)).toBe(true);
    expect((await checkDisk(at.half, { fs })).problems).toEqual([]);
    expect(await fs.exists(at.source)).toBe(false);
  }
});

describe('a merge in place that could never be finished', () => {
  const mixed = '/x/mixed.vmdk';
  const delta = '/x/delta.vmdk';

  /** 64 sectors that can be written, then 64 that can not. */
  beforeEach(async () => {
    fs = createMemoryFileStore();
    await fs.makeFolder('/x');
    await createDisk('/x/part.vmdk', bytes(64 * SECTOR_BYTES), { fs, type: 'monolithicFlat' });
    const lines = ['RW 64 FLAT "part-flat.vmdk" 0', 'RW 64 ZERO'];
    const head = ['# Disk DescriptorFile', 'version=1', 'CID=12345678', 'parentCID=ffffffff'];
    await writeText(fs, mixed, [...head, 'createType="custom"', ...lines, ''].join('\n'));
    await createDelta(delta, mixed, { fs, grainSize: 8 });
  });

  async function writeDelta(start: number): Promise<void> {
    const chain = await openChain(delta, 'update', { fs });
    await chain.write(start as Sectors, pattern(8 * SECTOR_BYTES, 3));
    await chain.close();
  }

  it('is not begun: a part of the disk must not be written', async () => {
    await writeDelta(80);
    const change = (dryRun: boolean) => () => commitDisk(delta, { fs, inPlace: true, dryRun });
    for (const dryRun of [true, false])
      await expectRefused(fs, '/x', change(dryRun), 'extent-read-only', mixed, 'line 7', 'sector 80');
  });

  it('goes on where that part keeps what it has', async () => {
    await writeDelta(16);
    const content = await contentOf(fs, delta);
    await commitDisk(delta, { fs, inPlace: true });
    expect((await contentOf(fs, mixed)).equals(content)).toBe(true);
  });
});

describe('a machine with a disk that is half merged', () => {
  const VMX = '/vm/golden.vmx';
  let model: MachineModel;

  beforeEach(async () => {
    fs = createMemoryFileStore();
    model = await buildMachine(fs, '/vm', { nodes: ['scsi0:0'] });
    await fs.makeFolder('/clones');
  });

  const diskAt = (point: ModelPoint): string => model.diskAt(point, 'scsi0:0');
  const expectPoint = async (path: string, point: ModelPoint): Promise<void> => {
    const same = (await contentOf(fs, path)).equals(model.contentsAt(point, 'scsi0:0'));
    expect({ point, same }).toEqual({ point, same: true });
  };
  /** As an interrupted merge of one disk into another leaves it. */
  const mark = (into: ModelPoint, from: ModelPoint): Promise<void> =>
    rewriteDescriptor(fs, diskAt(into), { ddb: { [HALF_MERGED_KEY]: posix.basename(diskAt(from)) } });
  const cloneOf = (request: Partial<MachineCloneRequest>) => async (): Promise<void> => {
    const work = cloneMachine({ machine: VMX, into: '/clones', ...request }, { fs });
    for await (const result of work) expect(result.status).toBe('created');
  };

  const refused: [string, () => Promise<unknown>][] = [
    ['revert to it', () => revertSnapshot(VMX, 'experiment', { fs, force: true })],
    ['revert past it', () => revertSnapshot(VMX, 'installed', { fs, force: true })],
    ['clone it', cloneOf({ snapshot: 'experiment' })],
    ['copy it', cloneOf({ snapshot: 'experiment', full: true })],
  ];
  it.each(refused)('is not changed so that a mix remains: %s', async (_name, change) => {
    await mark(3, 'running');
    const names = [diskAt(3), `vmdkit commit ${diskAt('running')} --into ${diskAt(3)}`];
    await expectRefused(fs, '/', change, 'half-merged', ...names);
  });

  it('keeps the disk that was being merged, also when a snapshot is deleted', async () => {
    await mark(1, 3);
    const change = () => deleteSnapshot(VMX, 'experiment', { fs });
    await expectRefused(fs, '/vm', change, 'half-merged', `${diskAt(1)} is between`);
  });

  it('can be cloned as it runs, and deleting the snapshot ends the merge', async () => {
    await mark(3, 'running');
    await cloneOf({ full: true })();
    await createSnapshot(VMX, { name: 'more' }, { fs });
    await deleteSnapshot(VMX, 'experiment', { fs });
    const machine = await openMachine(VMX, { fs });
    expect(machine.findings).toEqual([]);
    await expectPoint(machine.disks[0]!.path!, 'running');
    expect(await fs.exists(diskAt(3))).toBe(false);
  });

  it('goes on where deleting snapshots in place was stopped', async () => {
    const stop = new AbortController();
    const onProgress = ({ phase, done }: Progress): void => {
      if (phase === 'copying' && done > 0) stop.abort(new Error('stopped'));
    };
    const options = { fs, inPlace: true, children: true, signal: stop.signal, onProgress };
    await expect(deleteSnapshot(VMX, 'installed', options)).rejects.toThrow('stopped');
    expect((await checkDisk(diskAt(1), { fs })).problems).toMatchObject([{ code: 'DESC-HALF-MERGED' }]);
    await createSnapshot(VMX, { name: 'new' }, { fs });
    await expectRefused(fs, '/vm', () => promoteDisk(diskAt('running'), { fs }), 'half-merged');
    await expectRefused(fs, '/vm', () => deleteSnapshot(VMX, 'new', { fs }), 'half-merged');
    await consolidateSnapshots(VMX, { fs, inPlace: true });
    await deleteSnapshot(VMX, 'new', { fs });
    const machine = await openMachine(VMX, { fs });
    expect(machine.findings).toEqual([]);
    expect(machine.disks.map(({ path }) => path)).toEqual([diskAt(1)]);
    await expectPoint(diskAt(1), 'running');
    expect((await checkDisk(diskAt(1), { fs })).problems).toEqual([]);
  });
});

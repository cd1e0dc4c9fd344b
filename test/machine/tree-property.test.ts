// Random trees of disks of all types, and random work on them: after each step every disk of the tree reads as its plain
// Buffer, through the parents that the model says, and no file changed that the report does not name. A refusal changes
// nothing at all.
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { bytes, SECTOR_BYTES } from '../../src/core/units.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { resizeTree } from '../../src/machine/resize-tree.ts';
import type { TreeReport } from '../../src/machine/tree-types.ts';
import { compactDisk } from '../../src/operations/compact-disk.ts';
import { resizeDisk } from '../../src/operations/resize-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { hashesBelow } from '../support/clone-bench.ts';
import { treeChanges, TREE_VERBS, type TreeVerb } from '../support/tree-changes.ts';
import { ModelTree, type ModelDisk } from '../support/tree-model.ts';

const STEPS = [...TREE_VERBS, 'grow', 'write', 'compact', 'resize', 'rename'] as const;
type Step = (typeof STEPS)[number];

interface Work {
  readonly step: Step;
  readonly pick: number;
  readonly other: number;
  readonly seed: number;
}

const work: fc.Arbitrary<Work> = fc.record({
  step: fc.constantFrom(...STEPS),
  pick: fc.nat(1000),
  other: fc.nat(1000),
  seed: fc.nat(1000),
});

const done = new Set<Step>();

/** Files that the step may have changed; undefined when it was not to be. */
async function take(tree: ModelTree, { step, pick, other, seed }: Work): Promise<Set<string> | undefined> {
  const disk = tree.disks[pick % tree.disks.length]!;
  const second = tree.disks[other % tree.disks.length]!;
  if (isVerb(step)) {
    const report = await treeChanges[step](tree, { disk, second, seed });
    return report === undefined ? undefined : filesOf(report);
  }
  const { store } = tree;
  const own = await ownFiles(tree, disk);
  switch (step) {
    case 'grow':
      if (tree.disks.length >= 40) return undefined;
      await tree.addDelta(disk, seed);
      return new Set(await ownFiles(tree, tree.disks.at(-1)!));
    case 'write':
      if (tree.childrenOf(disk).length > 0) return undefined;
      await tree.write(disk, seed);
      return new Set(own);
    case 'compact':
      await compactDisk(disk.path, { fs: store });
      return new Set(own);
    case 'resize': {
      // All disks of the tree together, or a disk that stands alone.
      const alone = tree.disks.find((one) => !one.parent && tree.childrenOf(one).length === 0);
      const together = seed % 2 === 0 || alone === undefined;
      const base = together ? tree.chainOf(disk).at(-1)! : alone;
      const members = tree.disks.filter((one) => tree.chainOf(one).includes(base));
      const files = await ownFilesOf(tree, members);
      const size = (200 + (seed % 300)) * SECTOR_BYTES;
      const options = { fs: store, shrink: true, force: true };
      if (together) await resizeTree(disk.path, bytes(size), options);
      else await resizeDisk(base.path, bytes(size), options);
      for (const member of members) {
        const content = Buffer.alloc(size);
        member.content.copy(content);
        member.content = content;
      }
      return new Set([...files, ...(await ownFilesOf(tree, members))]);
    }
    case 'rename': {
      const to = tree.newPath(seed);
      const { files, relinked } = await renameDisk(disk.path, to, { fs: store });
      disk.path = to;
      return new Set([
        ...files.flatMap(({ from, to: into }) => [from, into]),
        ...relinked.map((one) => one.path),
      ]);
    }
  }
}

const isVerb = (step: Step): step is TreeVerb => (TREE_VERBS as readonly string[]).includes(step);

const filesOf = ({ created, changed, removed }: TreeReport): Set<string> =>
  new Set([...created, ...changed, ...removed]);

async function ownFilesOf(tree: ModelTree, disks: readonly ModelDisk[]): Promise<string[]> {
  return (await Promise.all(disks.map((disk) => ownFiles(tree, disk)))).flat();
}

/** By their names: those that begin as the disk does. */
async function ownFiles({ store }: ModelTree, { path }: ModelDisk): Promise<string[]> {
  const stem = path.slice(0, -'.vmdk'.length);
  return Object.keys(await hashesBelow(store, '/t')).filter(
    (file) => file === path || file.startsWith(`${stem}-`),
  );
}

async function hashes({ store }: ModelTree): Promise<Map<string, string>> {
  const all = Object.entries(await hashesBelow(store, '/t'));
  return new Map(all.filter(([path]) => !path.endsWith('/.vmdkit-sharers.json')));
}

function expectOnly(before: Map<string, string>, after: Map<string, string>, may: Set<string>): void {
  const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );
  expect(differing.filter((path) => !may.has(path))).toEqual([]);
}

async function workOn(size: number, steps: readonly Work[], files = true): Promise<void> {
  const tree = await ModelTree.open(createMemoryFileStore());
  await tree.addBase(size);
  for (let seed = size; tree.disks.length < size; seed += 7) {
    if (seed % 5 === 0) await tree.addBase(seed);
    // Near the last one, so that chains become long.
    const back = (seed * seed) % Math.min(6, tree.disks.length);
    await tree.addDelta(tree.disks.at(-1 - back)!, seed);
  }
  await tree.verify();
  let before = files ? await hashes(tree) : undefined;
  for (const one of steps) {
    let may: Set<string> | undefined;
    try {
      may = await take(tree, one);
      if (may !== undefined) done.add(one.step);
    } catch (error) {
      if (!isVmdkError(error) || !['refused', 'usage', 'unsupported'].includes(error.kind)) throw error;
    }
    if (before !== undefined) {
      const after = await hashes(tree);
      expectOnly(before, after, may ?? new Set());
      before = after;
    }
    await tree.verify();
  }
}

describe('a tree of disks', { timeout: 180_000 }, () => {
  it('keeps every disk through random work: small trees', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 9 }),
        fc.array(work, { minLength: 6, maxLength: 10 }),
        (size, steps) => workOn(size, steps),
      ),
      { numRuns: 6, seed: 20260405 },
    );
  });

  it('keeps every disk through random work: 40 links', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(work, { minLength: 10, maxLength: 10 }), (steps) => workOn(40, steps, false)),
      { numRuns: 1, seed: 20260406 },
    );
  });

  afterAll(() => {
    // None of the kinds of work was refused all the time.
    expect(STEPS.filter((step) => !done.has(step))).toEqual([]);
  });
});

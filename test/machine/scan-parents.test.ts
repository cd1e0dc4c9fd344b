// The parents that a scan finds are those that opening finds, whatever CIDs and hints the disks of a folder have.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import { describeDisk, describeLinks } from '../../src/operations/describe-chain.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { linkText } from '../support/scan-model.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const CIDS = ['00000001', '00000002', '00000003', 'fffffffe'];

const disk = fc.record({
  cid: fc.constantFrom(...CIDS),
  parentCid: fc.option(fc.constantFrom(...CIDS), { nil: undefined, freq: 4 }),
  hint: fc.constantFrom(...NAMES, 'gone', '/far/gone', '../x/b', '[ds] x/c'),
});

it('holds for random folders', async () => {
  const folder = fc.array(disk, { minLength: 2, maxLength: NAMES.length });
  const property = fc.asyncProperty(folder, async (disks) => {
    const files = disks.map(({ cid, parentCid, hint }, index) => {
      const text = parentCid === undefined ? linkText(cid) : linkText(cid, parentCid, `${hint}.vmdk`);
      return [`/ds/x/${NAMES[index]!}.vmdk`, Buffer.from(text)] as const;
    });
    const fs = createMemoryFileStore(Object.fromEntries(files));
    const forest = await scanFolder('/ds/x', { fs });
    for (const { path, parent, fits, problems } of forest.disks) {
      if (problems.some(({ code }) => code === 'CHAIN-CYCLE')) continue;
      const opened = await describeDisk(path, { fs });
      expect({ path, parent: fits === true ? parent : undefined }).toEqual({
        path,
        parent: opened['full-backing-filename'],
      });
    }
  });
  await fc.assert(property, { numRuns: 150, seed: 20260 });
});

it('never takes a fresh delta for what it stands on, also where the disk between was written to since', async () => {
  const files = {
    // The base is gone; "mid" was written to after the disks above it were made.
    '/ds/x/mid.vmdk': linkText('00000009', '00000001', 'base.vmdk'),
    '/ds/x/leaf.vmdk': linkText('00000001', '00000001', 'mid.vmdk'),
    '/ds/y/far.vmdk': linkText('00000001', '00000001', '../x/leaf.vmdk'),
  };
  const fs = createMemoryFileStore(
    Object.fromEntries(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
  );
  const { disks } = await scanFolder('/ds', { fs });
  const mid = disks.find(({ path }) => path === '/ds/x/mid.vmdk')!;
  expect([mid.parent, mid.problems.map(({ code }) => code)]).toEqual([undefined, ['CHAIN-MISSING']]);
  const { failure } = await describeLinks('/ds/x/mid.vmdk', { fs });
  expect(failure?.code).toBe('parent-missing');
});

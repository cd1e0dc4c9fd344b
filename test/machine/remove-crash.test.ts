// The plug pulled at every operation of a removal: in whatever state the medium is found, the same command run again
// leaves the clone gone, its source without a mention of it, and every file of others as it was.
import { describe, expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { removeClones } from '../../src/machine/remove.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { filesBelow, hashesBelow, runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { linkText, makeFolders, vmsdText, vmxText, writeText } from '../support/scan-model.ts';

async function smallDatastore(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeFolders(store, '/ds', '/ds/golden', '/ds/web');
  await writeText(store, '/ds/golden/golden.vmdk', linkText('00000001'));
  await writeText(store, '/ds/golden/golden.vmx', vmxText('golden', { 'scsi0:0': 'golden.vmdk' }));
  await writeText(
    store,
    '/ds/golden/golden.vmsd',
    vmsdText('golden.vmdk', 'snapshot0.clone0 = "../web/web.vmx"'),
  );
  await writeText(store, '/ds/web/web.vmdk', linkText('00000002', '00000001', '../golden/golden.vmdk'));
  await writeText(store, '/ds/web/web.vmx', vmxText('web', { 'scsi0:0': 'web.vmdk' }));
  await writeText(store, '/ds/web/web.vmsd', 'cloneOf0 = "../golden/golden.vmx"\nsentinel0 = "web.vmdk"\n');
  return store;
}

const run = (store: FileStore, pid: number) =>
  removeClones(['/ds/web/web.vmx'], { fs: store, runs: runsOf(pid) });

describe('a removal whose power is cut', () => {
  it('is done or undone by the next run, wherever it was', async () => {
    const start = await smallDatastore();
    const before = await hashesBelow(start, '/ds');
    const done = await crashStoreOf(start);
    await run(done, 1);
    const after = await hashesBelow(done, '/ds');
    expect(Object.keys(after)).toEqual([
      '/ds/golden/golden.vmdk',
      '/ds/golden/golden.vmsd',
      '/ds/golden/golden.vmx',
    ]);
    const outcomes = new Set<string>();
    let cuts = 0;
    for (let n = 0; ; n++) {
      const store = await crashStoreOf(start);
      store.crashAt(n);
      let cut = false;
      try {
        await run(store, 1);
      } catch (error) {
        cut = isPowerCut(error) || (error instanceof VmdkError && isPowerCut(error.cause));
        if (!cut) throw error;
      }
      let index = 0;
      for await (const state of store.afterCrash(n, 4)) {
        const what = `cut at ${n}: ${store.log[n]}, state ${index}`;
        // Settled by whatever command comes next, or by the same one again.
        const again = index++ % 2 === 1;
        if (again) {
          const outcome = await run(state, 2).catch((error: unknown) => error);
          // It was finished and forgotten before the cut.
          if (outcome instanceof Error) expect(outcome, what).toMatchObject({ code: 'file-missing' });
        } else await settleChangeSets(state, '/ds', { runs: runsOf(2) });
        const found = await hashesBelow(state, '/ds');
        const isAfter = found['/ds/web/web.vmx'] === undefined;
        expect(found, what).toEqual(isAfter ? after : before);
        expect(isAfter || !again, what).toBe(true);
        expect(await filesBelow(state, '/ds'), what).toEqual(await filesBelow(isAfter ? done : start, '/ds'));
        outcomes.add(isAfter ? 'after' : 'before');
      }
      if (!cut) break;
      cuts++;
    }
    expect(cuts).toBeGreaterThan(30);
    expect([...outcomes].sort()).toEqual(['after', 'before']);
  });
});

// The plug pulled at every operation of a relinking: in whatever state the medium is found, the next run leaves every
// hint right, and no file is half written.
import { describe, expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { relink } from '../../src/machine/relink.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { filesBelow, hashesBelow, runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { linkText, makeFolders, writeText } from '../support/scan-model.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { bytes } from '../../src/core/units.ts';

/** A base that moved to new/: a text delta with a machine, and one whose descriptor is embedded. */
async function movedDatastore(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeFolders(store, '/ds', '/ds/old', '/ds/a', '/ds/b');
  const fs = store;
  await createDisk('/ds/old/base.vmdk', bytes(64 * 512), { fs });
  await createDelta('/ds/b/embedded.vmdk', '/ds/old/base.vmdk', { fs, type: 'monolithicSparse' });
  await createDelta('/ds/a/text.vmdk', '/ds/old/base.vmdk', { fs, type: 'twoGbMaxExtentSparse' });
  await writeText(store, '/ds/old/base.vmx', 'displayName = "base"\n');
  await writeText(store, '/ds/a/a.vmx', 'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "text.vmdk"\n');
  await writeText(store, '/ds/a/a.vmsd', 'cloneOf0 = "../old/base.vmx"\nnumCloneOf = "1"\n');
  await writeText(store, '/ds/b/lone.vmdk', linkText('000000aa', 'ffffffff'));
  await store.rename('/ds/old', '/ds/new');
  return store;
}

const run = (store: FileStore, pid: number) =>
  relink({ folders: ['/ds/a', '/ds/b'], bases: ['/ds/new/base.vmdk'] }, { fs: store, runs: runsOf(pid) });

describe('a relinking whose power is cut', () => {
  it('is done or undone by the next run, wherever it was', async () => {
    const start = await movedDatastore();
    const before = await hashesBelow(start, '/ds');
    const done = await crashStoreOf(start);
    await run(done, 1);
    const after = await hashesBelow(done, '/ds');
    const files = await filesBelow(done, '/ds');
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
      for await (const state of store.afterCrash(n, 3)) {
        const what = `cut at ${n}: ${store.log[n]}, state ${index++}`;
        for (const root of ['/ds/a', '/ds/b']) await settleChangeSets(state, root, { runs: runsOf(2) });
        const found = await hashesBelow(state, '/ds');
        // The register is advice, and a state of its own.
        delete found['/ds/new/.vmdkit-sharers.json'];
        for (const path of Object.keys(found)) if (path.endsWith('.tmp')) delete found[path];
        const { '/ds/new/.vmdkit-sharers.json': register, ...settled } = after;
        expect(register).toBeDefined();
        const isAfter = found['/ds/a/text.vmdk'] === after['/ds/a/text.vmdk'];
        expect(found, what).toEqual(isAfter ? settled : before);
        outcomes.add(isAfter ? 'after' : 'before');
        // Once for each cut: what is found is settled by now.
        if (index > 1) continue;
        await run(state, 3);
        const again = await hashesBelow(state, '/ds');
        for (const path of Object.keys(settled)) expect(again[path], `${what}: ${path}`).toBe(after[path]);
      }
      if (!cut) break;
      cuts++;
    }
    expect(cuts).toBeGreaterThan(40);
    expect([...outcomes].sort()).toEqual(['after', 'before']);
    expect(files.some((path) => path.includes('.vmdkit-change'))).toBe(false);
  });
});

// What is read as evidence stays as it was, and the record proves it.
import { beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { gatherEvidence } from '../../src/examine/evidence.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { hashFile } from '../support/chain-model.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let store: FileStore;
let chain: SmallChain;

beforeEach(async () => {
  store = createMemoryFileStore();
  await store.makeFolder('/case');
  await store.makeFolder('/results');
  chain = await makeSmallChain('/case', store);
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isVmdkError(error) ? error.code : `not refused: ${String(error)}`;
}

describe('gatherEvidence', () => {
  it('records every file of a chain, with its hash before and after', async () => {
    const evidence = gatherEvidence(store, { hashes: 'whole' });
    const opened = await openChain(chain.leaf, 'read', { fs: evidence.store });
    await opened.close();
    const items = await evidence.conclude();
    const files = items.filter(({ kind }) => kind === 'file');
    expect(files.map(({ path }) => path)).toEqual(['/case/base.vmdk', '/case/leaf.vmdk', '/case/mid.vmdk']);
    for (const { path, before, after, changed } of files) {
      expect({ changed, before: before.sha256, after: after?.sha256 }).toEqual({
        changed: false,
        before: await hashFile(store, path),
        after: before.sha256,
      });
    }
    expect(items.filter(({ kind }) => kind === 'folder').map(({ path }) => path)).toEqual(['/case']);
  });

  it('has no way to write', async () => {
    const { store: evidence } = gatherEvidence(store);
    const attempts = [
      evidence.open(chain.base, 'update'),
      evidence.create('/results/new'),
      evidence.replace(chain.base, Buffer.alloc(1)),
      evidence.rename(chain.base, '/results/base'),
      evidence.remove(chain.base),
      evidence.makeFolder('/results/sub'),
      evidence.removeFolder('/results'),
      evidence.syncFolder('/results'),
      evidence.changeMode!(chain.base, () => 0),
    ];
    for (const attempt of attempts) expect(await codeOf(attempt)).toBe('evidence-read-only');
    const file = await evidence.open(chain.base, 'read');
    expect(Object.keys(file)).not.toContain('lockBytes');
    await file.close();
  });

  it('tells of bytes that somebody else changed, and of a file that went', async () => {
    const evidence = gatherEvidence(store, { hashes: 'whole' });
    for (const path of [chain.base, chain.mid]) await (await evidence.store.open(path, 'read')).close();
    const base = await store.open(chain.base, 'update');
    await base.write(Buffer.from([1]), 70_000);
    await base.close();
    await store.remove(chain.mid);
    const items = await evidence.conclude();
    const told = items.flatMap(({ path, changed, after }) => (changed ? [[path, after === undefined]] : []));
    expect(told).toEqual([
      ['/case/base.vmdk', false],
      ['/case/mid.vmdk', true],
    ]);
  });

  it('keeps results out of folders that hold evidence, symbolic spellings and all', async () => {
    const evidence = gatherEvidence(store);
    await evidence.claim(['/case']);
    for (const path of ['/case/out.raw', '/case/new/out.raw', '/results/../case/out.raw']) {
      expect(await codeOf(evidence.outputs.replace(path, Buffer.alloc(1)))).toBe('evidence-folder');
      expect(await codeOf(evidence.assertOutputAllowed(path))).toBe('evidence-folder');
    }
    await evidence.outputs.replace('/results/out.raw', Buffer.from('made'));
    await (await evidence.outputs.open('/results/out.raw', 'read')).close();
    expect(await evidence.results()).toEqual([{ path: '/results/out.raw', size: 4 }]);
    expect(await evidence.conclude()).toEqual([]);
  });

  it('lets results go beside evidence when told, and never in the place of a file of it', async () => {
    const evidence = gatherEvidence(store, { besideEvidence: true });
    await (await evidence.store.open(chain.base, 'read')).close();
    await evidence.outputs.replace('/case/out.raw', Buffer.from('made'));
    expect(await codeOf(evidence.outputs.replace(chain.base, Buffer.alloc(1)))).toBe('evidence-folder');
    expect(await codeOf(evidence.outputs.rename('/case/out.raw', chain.base))).toBe('evidence-folder');
    expect(await codeOf(evidence.outputs.open(chain.base, 'update'))).toBe('evidence-folder');
  });
});

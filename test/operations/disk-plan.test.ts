// Carrying plans out: all files or none, nothing that exists is touched, the file that opens the disk comes last.
import { describe, expect, it } from 'vitest';
import { sectors } from '../../src/core/units.ts';
import {
  allocatedBytes,
  carryOutPlan,
  type DiskPlan,
  type PlannedFile,
} from '../../src/operations/disk-plan.ts';
import type { FileStore, WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const text = (value: string) => new TextEncoder().encode(value);

function planOf(...files: PlannedFile[]): DiskPlan {
  return {
    descriptorPath: files.at(-1)!.path,
    createType: 'vmfs',
    capacity: sectors(1),
    cid: 1,
    parentCid: 0xffffffff,
    files,
    notes: [],
  };
}

const extent: PlannedFile = {
  path: '/d/x-flat.vmdk',
  size: 10_000,
  parts: [{ at: 5000, data: text('extent') }],
};
const descriptor: PlannedFile = { path: '/d/x.vmdk', size: 10, parts: [{ at: 0, data: text('descriptor') }] };

async function storeWithFolder(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await store.makeFolder('/d');
  return store;
}

async function contentOf(store: FileStore, path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  const content = Buffer.alloc(await file.size());
  await file.readExactly(content, 0);
  await file.close();
  return content;
}

/** A store that logs what is done, and fails where `fails` says so. */
function watched(store: FileStore, log: string[], fails: (step: string) => boolean = () => false): FileStore {
  const step = (name: string): void => {
    log.push(name);
    if (fails(name)) throw new Error(`no luck with ${name}`);
  };
  return {
    ...store,
    async create(path): Promise<WritableFile> {
      step(`create ${path}`);
      const file = await store.create(path);
      return {
        ...file,
        write: async (data, at) => (step(`write ${path}`), file.write(data, at)),
        resize: async (size) => (step(`resize ${path}`), file.resize(size)),
        sync: async () => (step(`sync ${path}`), file.sync()),
        close: async () => (step(`close ${path}`), file.close()),
      };
    },
    remove: async (path) => (step(`remove ${path}`), store.remove(path)),
    syncFolder: async (path) => (step(`sync ${path}`), store.syncFolder(path)),
  };
}

describe('carryOutPlan', () => {
  it('makes the planned bytes, with zeros between the parts', async () => {
    const store = await storeWithFolder();
    await carryOutPlan(store, planOf(extent, descriptor));
    const expected = Buffer.alloc(10_000);
    expected.write('extent', 5000);
    expect(await contentOf(store, '/d/x-flat.vmdk')).toEqual(expected);
    expect((await contentOf(store, '/d/x.vmdk')).toString()).toBe('descriptor');
  });

  it('makes the descriptor last, after all else is safe on disk, and syncs it too', async () => {
    const log: string[] = [];
    await carryOutPlan(watched(await storeWithFolder(), log), planOf(extent, descriptor), {
      onCreated: (path) => void log.push(`created ${path}`),
    });
    expect(log).toEqual([
      'create /d/x-flat.vmdk',
      'created /d/x-flat.vmdk',
      'resize /d/x-flat.vmdk',
      'write /d/x-flat.vmdk',
      'sync /d/x-flat.vmdk',
      'close /d/x-flat.vmdk',
      'sync /d',
      'create /d/x.vmdk',
      'created /d/x.vmdk',
      'resize /d/x.vmdk',
      'write /d/x.vmdk',
      'sync /d/x.vmdk',
      'close /d/x.vmdk',
      'sync /d',
    ]);
  });

  it('syncs nothing when the caller does not want durability', async () => {
    const log: string[] = [];
    await carryOutPlan(watched(await storeWithFolder(), log), planOf(extent, descriptor), { durable: false });
    expect(log.filter((step) => step.startsWith('sync'))).toEqual([]);
  });

  it('refuses before anything is made when any of the files exists, and leaves that one alone', async () => {
    const store = await storeWithFolder();
    const mine = await store.create('/d/x.vmdk');
    await mine.write(text('mine'), 0);
    await mine.close();
    const log: string[] = [];
    await expect(carryOutPlan(watched(store, log), planOf(extent, descriptor))).rejects.toMatchObject({
      kind: 'refused',
      code: 'target-exists',
      context: { path: '/d/x.vmdk' },
    });
    expect(log).toEqual([]);
    expect(await store.list('/d')).toEqual(['x.vmdk']);
    expect((await contentOf(store, '/d/x.vmdk')).toString()).toBe('mine');
  });

  it('refuses a file that another program makes between the check and the creation, and keeps that file', async () => {
    const inner = await storeWithFolder();
    const store: FileStore = {
      ...inner,
      async create(path) {
        if (path === '/d/x.vmdk') await (await inner.create(path)).close();
        return inner.create(path);
      },
    };
    await expect(carryOutPlan(store, planOf(extent, descriptor))).rejects.toMatchObject({
      code: 'target-exists',
      context: { path: '/d/x.vmdk' },
    });
    expect(await inner.list('/d')).toEqual(['x.vmdk']);
  });

  it('removes exactly what it made when any step fails, and passes that failure on', async () => {
    const steps: string[] = [];
    await carryOutPlan(watched(await storeWithFolder(), steps), planOf(extent, descriptor));
    for (const index of steps.keys()) {
      const store = await storeWithFolder();
      await (await store.create('/d/bystander')).close();
      const log: string[] = [];
      const failing = watched(store, log, () => log.length === index + 1);
      await expect(carryOutPlan(failing, planOf(extent, descriptor))).rejects.toThrow(
        `no luck with ${steps[index]}`,
      );
      expect(await store.list('/d')).toEqual(['bystander']);
    }
  });

  it('says which file is left when it cannot be removed again', async () => {
    const store = await storeWithFolder();
    const failing = watched(store, [], (step) => /^(write|remove) .*x\.vmdk/.test(step));
    const failure = carryOutPlan(failing, planOf(extent, descriptor));
    await expect(failure).rejects.toMatchObject({
      kind: 'io',
      code: 'not-undone',
      context: { path: '/d/x.vmdk' },
      cause: { message: 'no luck with write /d/x.vmdk' },
    });
    expect(await store.list('/d')).toEqual(['x.vmdk']);
  });

  it('stops when aborted, with the reason as it was given, and leaves nothing', async () => {
    const store = await storeWithFolder();
    const abort = new AbortController();
    const reason = new Error('enough');
    const filled = { ...extent, size: 8 << 20, parts: [], fills: [{ from: 0, to: 8 << 20 }] };
    const carrying = carryOutPlan(store, planOf(filled, descriptor), {
      signal: abort.signal,
      onProgress: ({ done }) => done >= 2 << 20 && abort.abort(reason),
    });
    await expect(carrying).rejects.toBe(reason);
    expect(await store.list('/d')).toEqual([]);
  });

  it('removes the file when the journal of the caller fails', async () => {
    const store = await storeWithFolder();
    const onCreated = () => Promise.reject(new Error('journal full'));
    await expect(carryOutPlan(store, planOf(descriptor), { onCreated })).rejects.toThrow('journal full');
    expect(await store.list('/d')).toEqual([]);
  });

  it('writes fills to their end and reports every byte that is written', async () => {
    const log: string[] = [];
    const store = watched(await storeWithFolder(), log);
    const filled = { ...extent, size: 3_000_000, parts: [], fills: [{ from: 0, to: 3_000_000 }] };
    const seen: number[] = [];
    await carryOutPlan(store, planOf(filled, descriptor), {
      onProgress: ({ done, total, unit }) => {
        seen.push(done);
        expect({ total, unit }).toEqual({ total: 3_000_010, unit: 'bytes' });
      },
    });
    expect(seen).toEqual([1_048_576, 2_097_152, 3_000_000, 3_000_010]);
    expect(log.filter((step) => step === 'write /d/x-flat.vmdk')).toHaveLength(3);
  });
});

describe('allocatedBytes', () => {
  it('counts whole blocks of 4 KiB, each once, and no holes', () => {
    const file: PlannedFile = {
      path: 'x',
      size: 1e12,
      parts: [
        { at: 5000, data: new Uint8Array(100) },
        { at: 0, data: new Uint8Array(4097) },
        { at: 1e9, data: new Uint8Array(1) },
      ],
    };
    expect(allocatedBytes(planOf(file))).toBe(8192 + 4096);
  });

  it('counts fills in full', () => {
    const file: PlannedFile = { path: 'x', size: 1 << 20, parts: [], fills: [{ from: 0, to: 1 << 20 }] };
    expect(allocatedBytes(planOf(file, descriptor))).toBe((1 << 20) + 4096);
  });
});

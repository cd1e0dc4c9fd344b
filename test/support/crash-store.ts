// A store in memory whose power can be cut at any operation, and the states a disk may then be found in. Assumed:
// a 512-byte sector is old or new; writes since the file's last sync reach the medium whole, in part or not, in any
// order (of two to one sector the later wins where both did); a longer file may come without its data, as zeros;
// names made, renamed (at once) and removed may or may not be, each alone, until their folders are synced: syncing
// a file does not save its name. A sync saves what was complete when it began, not what was still under way.
import { posix } from 'node:path';
import { errorAbout, VmdkError } from '../../src/core/errors.ts';
import type { FileStore, RandomAccessFile, WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { assertPosition, fileClosed, notAFile } from '../../src/storage/store-errors.ts';
import { CrashImage } from './crash-image.ts';

export interface CrashStore extends FileStore {
  /** Every operation so far that changes or syncs something, as `write /a 512+1024`, in order. */
  readonly log: readonly string[];
  /**
   * Cuts the power at operation `n` of the log, counted from 0: it fails, perhaps after part of its effect,
   * and so does everything after it, reading included.
   */
  crashAt(n: number): void;
  /** Makes all that was done so far durable and empties the log: what follows is the workload. */
  settle(): void;
  /**
   * States the medium may be found in now, deterministic by `seed`: first with everything unsynced lost, then with
   * nothing lost, then `count` - 2 at random, each once. Each is a store of its own. With a set for all cuts of the
   * same work from the same start, what an earlier cut left as well is left out: most often that is where all that was
   * unsynced is lost, which is one state until the next sync.
   */
  afterCrash(seed: number, count?: number, seen?: Set<string>): AsyncGenerator<FileStore, void>;
}

/** A crash store that holds durably what `createMemoryFileStore(initial)` would. */
export async function createCrashStore(
  initial: Readonly<Record<string, Uint8Array>> = {},
): Promise<CrashStore> {
  return crashStoreOf(createMemoryFileStore(initial));
}

/** A crash store that holds durably all that `from` holds below `/`: for crashes while recovering from one. */
export async function crashStoreOf(from: FileStore): Promise<CrashStore> {
  const store = newCrashStore();
  await copyFolder(from, store, '/');
  store.settle();
  return store;
}

/** True for the failure of operations at and after the crash. */
export function isPowerCut(error: unknown): boolean {
  return error instanceof VmdkError && error.code === 'power-cut';
}

function newCrashStore(): CrashStore {
  const live = createMemoryFileStore();
  const image = new CrashImage();
  const log: string[] = [];
  let crashIndex = Infinity;

  const power = powerOf(log, () => crashIndex);
  const assertPower = (): void => power.assert();
  const nodeOf = async (path: string): Promise<string> => (await live.resolve(path)).identity;
  /** Where a name is: its folder's node and the name in it. */
  const slotOf = async (path: string) => ({
    folder: await nodeOf(posix.dirname(posix.resolve('/', path))),
    name: posix.basename(path),
  });

  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    assertPower();
    if (mode === 'read') return reading(power, await live.open(path, 'read'));
    return writing(power, image, await live.open(path, 'update'), await nodeOf(path));
  }

  /** A change of names: in the live store at once, on the medium when its folders are synced. */
  const change = async (what: string, inLive: () => Promise<() => () => void>): Promise<void> => {
    assertPower();
    power.begin(what, await inLive())();
  };
  const make = (what: string, path: string, isFolder: boolean, inLive: () => Promise<void>): Promise<void> =>
    change(`${what} ${path}`, async () => {
      await inLive();
      const [slot, node] = [await slotOf(path), await nodeOf(path)];
      return () => image.link(slot, node, isFolder);
    });
  const vanish = (what: string, path: string, inLive: () => Promise<void>): Promise<void> =>
    change(`${what} ${path}`, async () => {
      await inLive();
      const slot = await slotOf(path);
      return () => image.unlink(slot);
    });

  const store: CrashStore = {
    log,
    crashAt: (n) => void (crashIndex = n),
    settle: () => {
      image.settle();
      log.length = 0;
    },
    afterCrash: (seed, count = 16, seen = new Set()) => image.states(seed, count, seen),
    open,
    create: async (path) => {
      let file: WritableFile | undefined;
      await make('create', path, false, async () => void (file = await live.create(path)));
      if (file === undefined) throw new TypeError('nothing was created');
      return writing(power, image, file, await nodeOf(path));
    },
    replace: async (path, data) => {
      if ((await store.exists(path)) && (await store.resolve(path)).kind !== 'file')
        throw notAFile(path, 'folder');
      const temp = posix.join(posix.dirname(path), `.${posix.basename(path)}.vmdkit-${log.length}.tmp`);
      const file = await store.create(temp).catch((error: unknown) => {
        throw errorAbout(error, temp, path);
      });
      try {
        await file.write(data, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await store.rename(temp, path);
      await store.syncFolder(posix.dirname(path));
    },
    rename: (from, to) =>
      change(`rename ${from} ${to}`, async () => {
        const [node, source] = [await nodeOf(from), await slotOf(from)];
        await live.rename(from, to);
        const target = await slotOf(to);
        return () => image.move(source, target, node);
      }),
    remove: (path) => vanish('remove', path, () => live.remove(path)),
    makeFolder: (path) => make('makeFolder', path, true, () => live.makeFolder(path)),
    removeFolder: (path) => vanish('removeFolder', path, () => live.removeFolder(path)),
    syncFolder: (folder) =>
      change(`syncFolder ${folder}`, async () => {
        await live.syncFolder(folder);
        const node = await nodeOf(folder);
        return () => image.syncFolder(node);
      }),
    exists: async (path) => {
      assertPower();
      return live.exists(path);
    },
    list: async (folder) => {
      assertPower();
      return live.list(folder);
    },
    resolve: async (path) => {
      assertPower();
      return live.resolve(path);
    },
  };
  return store;
}

/** Whether there is power, and the count of what uses it. */
interface Power {
  assert(): void;
  /** Counts one operation as begun; at the crash, its effect is noted as unsynced and the caller told of failure. */
  begin(what: string, note: () => () => void): () => void;
}

function powerOf(log: string[], crashIndex: () => number): Power {
  const assert = (): void => {
    if (log.length > crashIndex()) throw new VmdkError('io', 'power-cut', 'the power is cut');
  };
  return {
    assert,
    begin: (what, note) => {
      assert();
      log.push(what);
      const complete = note();
      assert();
      return complete;
    },
  };
}

function reading(power: Power, file: RandomAccessFile): RandomAccessFile {
  return {
    path: file.path,
    size: async () => {
      power.assert();
      return file.size();
    },
    readExactly: async (into, at) => {
      power.assert();
      return file.readExactly(into, at);
    },
    close: () => file.close(),
  };
}

function writing(power: Power, image: CrashImage, file: WritableFile, node: string): WritableFile {
  let closed = false;
  const assertOpen = (): void => {
    if (closed) throw fileClosed(file.path);
  };
  return {
    ...reading(power, file),
    write: async (data, at) => {
      assertOpen();
      assertPosition(at, data.length);
      const complete = power.begin(`write ${file.path} ${at}+${data.length}`, () =>
        image.write(node, data.slice(), at),
      );
      await file.write(data, at);
      complete();
    },
    resize: async (size) => {
      assertOpen();
      assertPosition(size, 0);
      const complete = power.begin(`resize ${file.path} ${size}`, () => image.resize(node, size));
      await file.resize(size);
      complete();
    },
    sync: async () => {
      assertOpen();
      const complete = power.begin(`sync ${file.path}`, () => image.sync(node));
      await file.sync();
      complete();
    },
    close: async () => {
      closed = true;
      await file.close();
    },
  };
}

async function copyFolder(from: FileStore, to: FileStore, folder: string): Promise<void> {
  for (const name of await from.list(folder)) {
    const path = posix.join(folder, name);
    const { kind, size } = await from.resolve(path);
    if (kind === 'folder') {
      await to.makeFolder(path);
      await copyFolder(from, to, path);
      continue;
    }
    const source = await from.open(path, 'read');
    const target = await to.create(path);
    await target.resize(size);
    for (let at = 0; at < size;) {
      const [stretch] = (await source.stretches?.(at, size - at)) ?? [{ length: size - at, data: true }];
      const length = Math.min(stretch?.length ?? size - at, stretch?.data === true ? 1 << 20 : size);
      if (stretch?.data === true) {
        const bytes = new Uint8Array(length);
        await source.readExactly(bytes, at);
        await target.write(bytes, at);
      }
      at += length;
    }
    await source.close();
    await target.close();
  }
}

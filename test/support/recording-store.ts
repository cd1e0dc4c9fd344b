// A store that writes down what is asked of it: every file that is opened, by its real path, and whether it was closed
// again. It proves what an open did not touch.
import { expect } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import type { FileStore, RandomAccessFile, WritableFile } from '../../src/storage/file-store.ts';

export interface Recording {
  readonly store: FileStore;
  /** Real paths of all files opened, in order, also of opens that failed. */
  readonly opened: string[];
  /** Paths opened for update, created, replaced, renamed, removed or written. */
  readonly changed: string[];
  /** Folders listed. */
  readonly listed: string[];
  /** Files opened and not closed yet. */
  readonly stillOpen: Set<RandomAccessFile>;
  /** Bytes asked of all files so far. */
  bytesRead: number;
}

export function recordStore(inner: FileStore): Recording {
  const stillOpen = new Set<RandomAccessFile>();
  const opened: string[] = [];
  const changed: string[] = [];
  const noteChange = <A extends [string, ...unknown[]], R>(work: (...args: A) => R) => {
    return (...args: A): R => {
      changed.push(args[0]);
      return work(...args);
    };
  };
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    opened.push(await realPathOf(inner, path));
    if (mode === 'update') changed.push(path);
    return track(mode === 'read' ? await inner.open(path, 'read') : await inner.open(path, 'update'));
  }
  const track = <F extends RandomAccessFile>(file: F): F => {
    const tracked: F = {
      ...file,
      readExactly: (into: Uint8Array, at: number) => {
        recording.bytesRead += into.length;
        return file.readExactly(into, at);
      },
      close: async () => {
        stillOpen.delete(tracked);
        await file.close();
      },
    };
    stillOpen.add(tracked);
    return tracked;
  };
  const recording: Recording = {
    opened,
    changed,
    listed: [],
    stillOpen,
    bytesRead: 0,
    store: {
      ...inner,
      open,
      create: noteChange(async (path: string) => track(await inner.create(path))),
      replace: noteChange((path: string, data: Uint8Array) => inner.replace(path, data)),
      rename: noteChange((from: string, to: string) => inner.rename(from, to)),
      remove: noteChange((path: string) => inner.remove(path)),
      list: (folder) => {
        recording.listed.push(folder);
        return inner.list(folder);
      },
    },
  };
  return recording;
}

/** Nothing but files below `folder` was opened, and nothing stays open. */
export function expectInside(recording: Recording, folder: string): void {
  expect(recording.opened.filter((path) => !path.startsWith(`${folder}/`))).toEqual([]);
  expectAllClosed(recording);
}

export function expectAllClosed(recording: Recording): void {
  expect([...recording.stillOpen].map(({ path }) => path)).toEqual([]);
}

async function realPathOf(store: FileStore, path: string): Promise<string> {
  try {
    return (await store.resolve(path)).path;
  } catch (error) {
    if (isVmdkError(error)) return path;
    throw error;
  }
}

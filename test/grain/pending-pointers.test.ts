// The order of a flush: what is pointed to is synced before the pointer, the pointer before its copy.
import { describe, expect, it } from 'vitest';
import { PendingPointers } from '../../src/grain/pending-pointers.ts';
import type { WritableFile } from '../../src/storage/file-store.ts';

function loggingFile(log: string[], fail: () => boolean = () => false): WritableFile {
  return {
    path: '/file',
    size: () => Promise.resolve(0),
    readExactly: () => Promise.resolve(),
    close: () => Promise.resolve(),
    resize: () => Promise.resolve(),
    async write(data, at) {
      await Promise.resolve();
      if (fail()) throw new Error('no space');
      log.push(`${at}:${Buffer.from(data).toString('latin1')}`);
    },
    async sync() {
      await Promise.resolve();
      log.push('sync');
    },
  };
}

const bytes = (text: string) => () => Buffer.from(text, 'latin1');
const ignore = (): void => undefined;

describe('a flush of pending pointers', () => {
  it('writes new tables and what comes before, then primaries, then copies, with a sync after each', async () => {
    const log: string[] = [];
    const pending = new PendingPointers();
    pending.noteCopy(100, bytes('B'));
    pending.note(1, 200, bytes('B'));
    pending.noteCopy(110, bytes('A'));
    pending.note(1, 10, bytes('A'));
    pending.noteFresh(500, bytes('table'));
    const written: number[] = [];
    await pending.flush(
      loggingFile(log),
      (page) => written.push(page),
      async () => void log.push('before'),
    );
    expect(log).toEqual(['before', '500:table', 'sync', '10:A', '200:B', 'sync', '100:B', '110:A', 'sync']);
    expect(written).toEqual([1]);
  });

  it('joins neighbours into one write', async () => {
    const log: string[] = [];
    const pending = new PendingPointers();
    for (const [at, text] of [
      [4, 'ef'],
      [0, 'ab'],
      [2, 'cd'],
      [8, 'ij'],
    ] as const) {
      pending.note(undefined, at, bytes(text));
    }
    await pending.flush(loggingFile(log), ignore);
    expect(log).toEqual(['sync', '0:abcdef', '8:ij', 'sync']);
  });

  it('syncs the data also when no pointer has changed', async () => {
    const log: string[] = [];
    await new PendingPointers().flush(loggingFile(log), ignore);
    expect(log).toEqual(['sync']);
  });

  it('writes what a pointer was when the flush began: what is set later points to data not yet synced', async () => {
    const log: string[] = [];
    const pending = new PendingPointers();
    let value = 'old';
    pending.note(7, 0, () => Buffer.from(value));
    const written: number[] = [];
    const first = pending.flush(loggingFile(log), (page) => written.push(page));
    await Promise.resolve();
    value = 'new';
    pending.note(7, 0, () => Buffer.from(value));
    await first;
    expect(log).toEqual(['sync', '0:old', 'sync']);
    expect(written).toEqual([]);
    await pending.flush(loggingFile(log), (page) => written.push(page));
    expect(log.slice(3)).toEqual(['sync', '0:new', 'sync']);
    expect(written).toEqual([7]);
  });

  it('does one flush after the other, however many are asked for', async () => {
    const log: string[] = [];
    const pending = new PendingPointers();
    const file = loggingFile(log);
    const flushes = ['a', 'b', 'c'].map((text, index) => {
      pending.note(index, index * 100, bytes(text));
      return pending.flush(file, ignore);
    });
    await Promise.all(flushes);
    expect(log.filter((each) => each !== 'sync')).toEqual(['0:a', '100:b', '200:c']);
    expect(pending.size).toBe(0);
  });

  it('that fails leaves everything pending, for a later one to write', async () => {
    const log: string[] = [];
    let failing = true;
    const file = loggingFile(log, () => failing);
    const pending = new PendingPointers();
    pending.note(3, 0, bytes('A'));
    pending.noteCopy(100, bytes('A'));
    pending.noteFresh(500, bytes('table'));
    const written: number[] = [];
    await expect(pending.flush(file, (page) => written.push(page))).rejects.toThrow('no space');
    expect([pending.size, written]).toEqual([1, []]);
    failing = false;
    await pending.flush(file, (page) => written.push(page));
    expect(log).toEqual(['500:table', 'sync', '0:A', 'sync', '100:A', 'sync']);
    expect(written).toEqual([3]);
  });
});

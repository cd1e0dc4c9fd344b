// Tables in memory: one load per page however many ask, bounded memory, and no change lost while pages come and go.
import { describe, expect, it } from 'vitest';
import { TablePages } from '../../src/grain/table-pages.ts';

/** 128 KiB, as a page of a hosted sparse extent; 32 of them are kept. */
const ENTRIES = 32 * 1024;

/** Pages as a file has them: what is loaded is a copy of what was stored. */
function pagesOver(file: Map<number, Uint32Array>): { pages: TablePages; loads: number[] } {
  const loads: number[] = [];
  const pages = new TablePages(async (page) => {
    loads.push(page);
    await Promise.resolve();
    return file.get(page)?.slice() ?? new Uint32Array(ENTRIES);
  });
  return { pages, loads };
}

describe('table pages', () => {
  it('are loaded once, however many ask at once', async () => {
    const { pages, loads } = pagesOver(new Map());
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => pages.get(index % 2)));
    expect(loads).toEqual([0, 1]);
    expect(new Set(all).size).toBe(2);
    expect(pages.peek(0)).toBe(all[0]);
    expect(await pages.get(1)).toBe(all[1]);
  });

  it('are asked for again after a load that failed', async () => {
    let fail = true;
    const pages = new TablePages(() =>
      fail ? Promise.reject(new Error('bad sector')) : Promise.resolve(new Uint32Array(8)),
    );
    await expect(pages.get(3)).rejects.toThrow('bad sector');
    fail = false;
    expect(await pages.get(3)).toHaveLength(8);
  });

  it('are dropped, oldest first, beyond 4 MiB', async () => {
    const { pages, loads } = pagesOver(new Map());
    for (let page = 0; page < 40; page++) await pages.get(page);
    expect(pages.peek(0)).toBeUndefined();
    expect(pages.peek(7)).toBeUndefined();
    expect(pages.peek(8)).toBeDefined();
    expect(pages.peek(39)).toBeDefined();
    await pages.get(0);
    expect(loads).toHaveLength(41);
  });

  it('stay while they are changed, until they are written', async () => {
    const { pages } = pagesOver(new Map());
    await pages.change(0, (entries) => (entries[5] = 77));
    for (let page = 1; page < 100; page++) await pages.get(page);
    expect(pages.peek(0)![5]).toBe(77);
    pages.unpin(0);
    for (let page = 1; page < 100; page++) await pages.get(page);
    expect(pages.peek(0)).toBeUndefined();
  });

  it('lose no change when other pages drive them out at the very moment they were loaded', async () => {
    for (let late = 0; late < 12; late++) {
      const { pages } = pagesOver(new Map());
      const after = async (turns: number, work: () => Promise<unknown>): Promise<void> => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        await work();
      };
      const set = (index: number) => () => pages.change(0, (entries) => (entries[index] = index));
      await Promise.all([
        set(1)(),
        ...Array.from({ length: 60 }, (_, page) => pages.get(page + 1)),
        ...Array.from({ length: 12 }, (_, turns) => after(turns, set(2 + turns))),
        after(late, () => Promise.all(Array.from({ length: 60 }, (_, page) => pages.get(page + 100)))),
      ]);
      expect([...pages.peek(0)!.subarray(1, 14)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    }
  });
});

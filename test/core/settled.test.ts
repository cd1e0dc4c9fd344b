// What has been done already is not waited for; all else is, in order, and fails as any promise does.
import { describe, expect, it } from 'vitest';
import { after, allOf, DONE, eachInTurn } from '../../src/core/settled.ts';

describe('work that may be over already', () => {
  it('goes on at once after what is done, and after the rest once it is', async () => {
    const seen: string[] = [];
    const rest = (name: string) => () => {
      seen.push(name);
      return DONE;
    };
    expect(after(DONE, rest('at once'))).toBe(DONE);
    expect(seen).toEqual(['at once']);
    const later = after(Promise.resolve(), rest('later'));
    expect(seen).toEqual(['at once']);
    await later;
    expect(seen).toEqual(['at once', 'later']);
  });

  it('takes items in turn, each after the one before, whether they wait or not', async () => {
    const seen: number[] = [];
    const work = (waits: (item: number) => boolean) => async (items: readonly number[]) => {
      let busy = false;
      await eachInTurn(items, (item) => {
        expect(busy).toBe(false);
        if (!waits(item)) {
          seen.push(item);
          return DONE;
        }
        busy = true;
        return new Promise((resolve) => {
          setImmediate(() => {
            seen.push(item);
            busy = false;
            resolve();
          });
        });
      });
    };
    await work((item) => item % 3 === 0)([1, 2, 3, 4, 5, 6, 7]);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(
      eachInTurn([8, 9], (item) => {
        seen.push(item);
        return DONE;
      }),
    ).toBe(DONE);
    expect(seen.at(-1)).toBe(9);
  });

  it('stops at the first failure', async () => {
    const seen: number[] = [];
    const failing = eachInTurn([1, 2, 3, 4], async (item) => {
      seen.push(item);
      if (item === 2) throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(seen).toEqual([1, 2]);
  });

  it('waits for all of several, whether one fails or not, and not at all where all are done', async () => {
    expect(allOf([])).toBe(DONE);
    expect(allOf([DONE, DONE])).toBe(DONE);
    let over = 0;
    const later = (error?: Error): Promise<void> =>
      new Promise((resolve, reject) => {
        setImmediate(() => {
          over++;
          if (error === undefined) resolve();
          else reject(error);
        });
      });
    await allOf([DONE, later(), later()]);
    expect(over).toBe(2);
    await expect(
      allOf([Promise.reject(new Error('first')), later(), later(new Error('last'))]),
    ).rejects.toThrow('first');
    expect(over).toBe(4);
  });
});

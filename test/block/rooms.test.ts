// Rooms go to one chunk at a time, the same one again where nothing is waited for; a failure is met by whoever comes next.
import { expect, it } from 'vitest';
import { Rooms } from '../../src/block/rooms.ts';
import { DONE } from '../../src/core/settled.ts';

it('gives the same room again to work that does not wait', () => {
  const rooms = new Rooms(3, 4096);
  const first = rooms.free!;
  for (let count = 0; count < 5; count++) {
    rooms.use(first, () => DONE);
    expect(rooms.free).toBe(first);
  }
});

it('gives each room to one piece of work, and makes those who come wait for the next', async () => {
  const rooms = new Rooms(2, 4096);
  const ends: (() => void)[] = [];
  const begin = (room: Buffer): void => rooms.use(room, () => new Promise((resolve) => ends.push(resolve)));
  const [one, two] = [rooms.free!, rooms.free!];
  expect(one).not.toBe(two);
  begin(one);
  begin(two);
  expect(rooms.free).toBeUndefined();
  let got: Buffer | undefined;
  const waiting = rooms.nextFree().then((room) => (got = room));
  await new Promise(setImmediate);
  expect(got).toBeUndefined();
  ends[1]!();
  await waiting;
  expect(got).toBe(two);
  let over = false;
  const ended = rooms.ended().then(() => (over = true));
  await new Promise(setImmediate);
  expect(over).toBe(false);
  ends[0]!();
  await ended;
  rooms.assertNoneFailed();
});

it('tells the first failure, once what was begun has ended', async () => {
  const rooms = new Rooms(2, 4096);
  const failure = new Error('first');
  rooms.use(rooms.free!, () => Promise.reject(failure));
  rooms.use(rooms.free!, () => Promise.reject(new Error('second')));
  await expect(rooms.nextFree()).rejects.toBe(failure);
  await rooms.ended();
  expect(() => rooms.free).toThrow(failure);
  expect(() => rooms.assertNoneFailed()).toThrow(failure);
});

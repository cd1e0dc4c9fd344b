// The hash that costs only data, against the same computed from the whole content at once.
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { hashSparse } from '../../src/operations/content-hash.ts';
import { pattern } from '../support/chain-model.ts';

const BLOCK = 64 << 10;

function expected(content: Buffer): string {
  const hash = createHash('sha256');
  for (let at = 0; at < content.length; at += BLOCK) {
    const block = Buffer.alloc(BLOCK);
    content.copy(block, 0, at);
    if (block.equals(Buffer.alloc(BLOCK))) continue;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt(at / BLOCK));
    hash.update(number).update(block);
  }
  return hash.digest('hex');
}

describe('the hash of what is data', () => {
  test('is the same however late each of many reads answers, and whatever its room held before', async () => {
    const content = Buffer.alloc((9 << 20) + 1536);
    pattern(5 << 20, 1).copy(content, 0);
    pattern((3 << 20) + 1536, 2).copy(content, 6 << 20);
    content.fill(0, 7 << 20, (7 << 20) + 2 * BLOCK);
    const rooms = new Set<ArrayBufferLike>();
    let [underWay, most] = [0, 0];
    const hash = await hashSparse({
      bytes: content.length,
      async *data() {
        yield { start: 0, length: 5 << 20 };
        yield { start: 6 << 20, length: (3 << 20) + 1536 };
      },
      async read(into, start) {
        rooms.add(into.buffer);
        most = Math.max(most, ++underWay);
        for (let turns = (start >> 20) % 3; turns >= 0; turns--) await setImmediate();
        content.copy(into, 0, start);
        underWay--;
      },
    });
    expect(hash.toString('hex')).toBe(expected(content));
    expect(most).toBeGreaterThan(1);
    expect(rooms.size).toBeLessThanOrEqual(4);
  });

  test('of nothing is that of no block', async () => {
    const none = { bytes: 0, async *data() {}, read: () => Promise.reject(new Error('there is nothing')) };
    expect((await hashSparse(none)).toString('hex')).toBe(expected(Buffer.alloc(0)));
  });
});

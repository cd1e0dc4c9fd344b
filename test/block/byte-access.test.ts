// Byte ranges over sectors, at every alignment, against a plain buffer.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBytes, writeBytes } from '../../src/block/byte-access.ts';
import type { Bytes } from '../../src/core/units.ts';
import { bufferTarget, fileBytes } from '../support/buffer-disk.ts';

const SECTORS = 40;
const SIZE = SECTORS * 512;
const stretch = fc
  .tuple(fc.nat({ max: SIZE }), fc.nat({ max: SIZE }))
  .map(([a, b]) => ({ at: Math.min(a, b), length: Math.abs(a - b) }));
const near = fc
  .tuple(
    fc.nat({ max: SECTORS - 3 }),
    fc.constantFrom(0, 1, 511, 512, 513),
    fc.constantFrom(0, 1, 2, 511, 512, 513),
  )
  .map(([sector, into, length]) => ({ at: sector * 512 + into, length }));
const any = fc.oneof(stretch, near);

describe('reading bytes', () => {
  it('gives exactly the bytes asked for, at any alignment', async () => {
    const disk = bufferTarget(SECTORS, fileBytes(SIZE));
    await fc.assert(
      fc.asyncProperty(any, async ({ at, length }) => {
        const into = Buffer.alloc(length, 0xee);
        await readBytes(disk, at as Bytes, into);
        expect(into.equals(disk.content.subarray(at, at + length))).toBe(true);
      }),
    );
  });

  it('refuses what lies past the end, before it, or at no byte at all', async () => {
    const disk = bufferTarget(SECTORS);
    for (const at of [SIZE - 3, SIZE + 1, -1, 0.5, NaN, 2 ** 60]) {
      await expect(readBytes(disk, at as Bytes, Buffer.alloc(4))).rejects.toThrow(RangeError);
      await expect(writeBytes(disk, at as Bytes, Buffer.alloc(4))).rejects.toThrow(RangeError);
    }
    expect(disk.log.writes).toEqual([]);
  });
});

describe('writing bytes', () => {
  it('changes exactly the bytes given, at any alignment', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 1, maxLength: 10 }), async (writes) => {
        const disk = bufferTarget(SECTORS, fileBytes(SIZE));
        const model = Buffer.from(disk.content);
        for (const [index, { at, length }] of writes.entries()) {
          const data = Buffer.alloc(length, index + 1);
          await writeBytes(disk, at as Bytes, data);
          data.copy(model, at);
        }
        expect(disk.content.equals(model)).toBe(true);
      }),
    );
  });

  it('reads nothing back for whole sectors, and only the ends for others', async () => {
    const disk = bufferTarget(SECTORS, fileBytes(SIZE));
    await writeBytes(disk, 1024 as Bytes, Buffer.alloc(2048, 1));
    expect(disk.log.reads).toBe(0);
    await writeBytes(disk, 1030 as Bytes, Buffer.alloc(4, 1));
    expect(disk.log.reads).toBe(1);
    await writeBytes(disk, 1030 as Bytes, Buffer.alloc(5000, 1));
    expect(disk.log.reads).toBe(3);
    expect(disk.log.writes).toHaveLength(3);
  });

  it('writes nothing when there is nothing', async () => {
    const disk = bufferTarget(SECTORS);
    await writeBytes(disk, 7 as Bytes, Buffer.alloc(0));
    expect(disk.log.writes).toEqual([]);
  });
});

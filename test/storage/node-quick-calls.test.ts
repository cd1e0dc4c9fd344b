// Reads and writes block, but never for long: a slow one sends the next ones to threads, and whoever waits gets a turn.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { QuickCalls } from '../../src/storage/node-quick-calls.ts';

it('sends large calls to threads, and 64 small ones once calls are slow for their length', async () => {
  const quick = new QuickCalls();
  expect([quick.blocks(2 ** 20), quick.blocks(2 ** 20 + 1)]).toEqual([true, false]);
  const take = (milliseconds: number, length: number): Promise<void> =>
    quick.done(performance.now() - milliseconds, length);
  // Slow ones now and then are no slow disk.
  for (let count = 0; count < 4; count++) {
    await take(15, 65_536);
    for (let between = 0; between < 8; between++) await take(2, 2 ** 20);
  }
  expect(quick.blocks(512)).toBe(true);
  await take(15, 65_536);
  await take(15, 65_536);
  const next = Array.from({ length: 65 }, () => quick.blocks(512));
  expect(next.slice(0, 64)).not.toContain(true);
  expect(next[64]).toBe(true);
  // It is still slow: one more tells.
  await take(2, 65_536);
  expect(quick.blocks(512)).toBe(false);
});

it.each(['read', 'write'] as const)('lets timers run while a program does nothing but %s', async (call) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'vmdkit-small-'));
  try {
    fs.writeFileSync(join(folder, 'file'), Buffer.alloc(8192, 7));
    const file = await createNodeFileStore().open(join(folder, 'file'), 'update');
    const piece = Buffer.alloc(4096, call === 'read' ? 0 : 7);
    const transfer = (): Promise<void> =>
      call === 'read' ? file.readExactly(piece, 4096) : file.write(piece, 4096);
    let over = false;
    setTimeout(() => (over = true), 20);
    const began = performance.now();
    while (!over && performance.now() - began < 5000) await transfer();
    expect(over).toBe(true);
    await file.close();
    expect(fs.readFileSync(join(folder, 'file')).equals(Buffer.alloc(8192, 7))).toBe(true);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

// What every hostile disk is held to: it fails with a VmdkError that says file, place, found and expected, soon, and
// without taking memory by the numbers in it.
import { expect } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import { VmdkError } from '../../src/core/errors.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { SECTOR } from './craft.ts';

/** Of this process: what others do on the machine must not decide. */
const CPU_SECONDS = 5;
/** For what waits instead of working. */
const SECONDS = 30;
const GROWTH = 300 << 20;

/** The VmdkError that `work` fails with; anything else fails the test. */
export async function failureOf(work: Promise<unknown>): Promise<VmdkError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason }),
  );
  if (!('reason' in outcome)) expect.fail('it was accepted');
  const error = outcome.reason;
  if (!(error instanceof VmdkError)) throw error;
  const { path, found, expected } = error.context;
  expect(path, error.message).toBeTypeOf('string');
  expect(error.message).toContain(path);
  if (error.kind === 'corrupt') {
    expect(found, `found: ${error.message}`).toBeDefined();
    expect(expected, `expected: ${error.message}`).toBeDefined();
  }
  return error;
}

/** Runs `work` and holds it to the bounds of time and memory. */
export async function bounded<T>(work: () => Promise<T>): Promise<T> {
  const before = process.memoryUsage.rss();
  const start = performance.now();
  const cpu = process.cpuUsage();
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
  try {
    return await work();
  } finally {
    clearInterval(watch);
    peak = Math.max(peak, process.memoryUsage.rss());
    const { user, system } = process.cpuUsage(cpu);
    expect((user + system) / 1e6, 'seconds of work').toBeLessThan(CPU_SECONDS);
    expect((performance.now() - start) / 1000, 'seconds').toBeLessThan(SECONDS);
    expect(peak - before, 'bytes of memory').toBeLessThan(GROWTH);
  }
}

/** Opens `path` as a chain, reads all of it (or its first `sectors`), and closes it. */
export async function readAll(path: string, options: ChainOptions, sectors?: number): Promise<Buffer> {
  const chain = await openChain(path, 'read', options);
  try {
    return await contentOf(chain, sectors);
  } finally {
    await chain.close();
  }
}

export async function contentOf(source: SectorSource, sectors?: number): Promise<Buffer> {
  const range = sectors === undefined ? wholeOf(source) : sectorRange(0, sectors);
  // Filled beforehand: what a read leaves out must not pass for zeros.
  const content = Buffer.alloc(range.count * SECTOR, 0xee);
  await source.read(range, content);
  return content;
}

/** Like `readAll`, for what must fail: within the bounds, by a VmdkError. */
export function refusal(path: string, options: ChainOptions): Promise<VmdkError> {
  return bounded(() => failureOf(readAll(path, options)));
}

/** Equal byte for byte; says the first sector that is not. */
export function expectSame(found: Buffer, expected: Buffer, what = 'content'): void {
  if (found.equals(expected)) return;
  expect(found.length, `${what}: length`).toBe(expected.length);
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  const sector = Math.floor(at / SECTOR);
  const show = (content: Buffer): string =>
    JSON.stringify(content.toString('latin1', sector * SECTOR, sector * SECTOR + 16));
  expect.fail(`${what}: sector ${sector} holds ${show(found)}, expected ${show(expected)}`);
}

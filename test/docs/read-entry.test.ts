// `vmdkit/read` promises to be the same as the library, and to load much less of it.
import { expect, it } from 'vitest';
import * as library from '../../src/index.ts';
import * as reading from '../../src/read.ts';

it('exports what the library exports under the same names, and nothing that writes', () => {
  const ofLibrary = new Map<string, unknown>(Object.entries(library));
  const entries = Object.entries(reading);
  expect(entries.map(([name]) => name)).toContain('openChain');
  for (const [name, value] of entries) expect(value, name).toBe(ofLibrary.get(name));
  const stores = /^create(?:ReadStream|NodeFileStore|MemoryFileStore)$/;
  const others = entries.map(([name]) => name).filter((name) => !stores.test(name));
  expect(others.filter((name) => /write|create|convert|clone/i.test(name))).toEqual([]);
});

// Tables as typed arrays: little-endian on file, and copies of it in memory.
import { expect, it } from 'vitest';
import { decodeTable, encodeTable } from '../../src/format/tables.ts';

it('a table is little-endian 32-bit entries', () => {
  const bytes = Buffer.from('010000000000008078563412', 'hex');
  expect([...decodeTable(bytes)]).toEqual([1, 0x80000000, 0x12345678]);
  expect(encodeTable(Uint32Array.of(1, 0x80000000, 0x12345678)).equals(bytes)).toBe(true);
});

it('a table is read at any alignment, and changing it changes no buffer', () => {
  const bytes = Buffer.from('ff0200000003000000', 'hex').subarray(1);
  const table = decodeTable(bytes);
  expect([...table]).toEqual([2, 3]);
  table[0] = 9;
  expect(bytes[0]).toBe(2);
});

it('a part of a table is encoded by itself, and stays as it was when the table changes later', () => {
  const table = Uint32Array.of(1, 2, 3, 4);
  const bytes = encodeTable(table.subarray(1, 3));
  table[1] = 9;
  expect(bytes.toString('hex')).toBe('0200000003000000');
});

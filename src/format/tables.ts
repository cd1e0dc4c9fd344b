// Tables of little-endian integers as typed arrays, on hosts of either byte order.
import { endianness } from 'node:os';

const SWAP = endianness() === 'BE';

/** A copy of `data` (a multiple of 4 bytes) as 32-bit entries. */
export function decodeTable(data: Uint8Array): Uint32Array {
  const copy = Buffer.alloc(data.length);
  copy.set(data);
  if (SWAP) copy.swap32();
  return new Uint32Array(copy.buffer, copy.byteOffset, data.length / 4);
}

/** Fills `entries` with a table as it stands on disk: `read` is given the memory to read into. */
export async function readTableInto(
  entries: Uint32Array,
  read: (into: Uint8Array) => Promise<void>,
): Promise<void> {
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  await read(bytes);
  if (SWAP) bytes.swap32();
}

/** The bytes of 32-bit entries as they stand on disk. */
export function encodeTable(entries: Uint32Array): Buffer {
  const copy = Buffer.from(entries.slice().buffer);
  return SWAP ? copy.swap32() : copy;
}

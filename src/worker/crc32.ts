// CRC-32 as zlib, GPT and Ethernet take it. Here because it comes from node:zlib.
import { crc32 as zlibCrc32 } from 'node:zlib';

/** The checksum of `data`, or of what came before (`before`: its checksum) and `data` behind it. */
export function crc32(data: Uint8Array, before = 0): number {
  return zlibCrc32(data, before);
}

// Memory that files are read into. Large buffers come from the system's allocator 16 bytes past the start of a page,
// and there the copy out of the page cache is several times slower on some processors (their fast string copy falls
// back to single bytes). Rule: what takes reads of more than a few KiB comes from here.

/** The allocator's 16 bytes and these make a cache line. */
const PAST_HEADER = 48;
/** Smaller buffers are cut from a pool or lie elsewhere: nothing to gain. */
const WORTH_IT = 64 * 1024;

/** `length` bytes, whatever they held before. */
export function allocateRoom(length: number): Buffer<ArrayBuffer> {
  if (length < WORTH_IT) return Buffer.allocUnsafe(length);
  return Buffer.allocUnsafeSlow(length + PAST_HEADER).subarray(PAST_HEADER);
}

// Extents inside a writable disk that must not be written: RDONLY, NOACCESS and ZERO lines, and formats whose
// rules for writers are not known.
import { VmdkError } from '../core/errors.ts';
import type { Extent, WritableExtent } from '../extent/extent.ts';
import type { ExtentLine } from '../format/descriptor.ts';

/** Reads like `extent`; every write is refused, naming the line of the descriptor that forbids it. */
export function readOnlyExtent(extent: Extent, descriptorPath: string, line: ExtentLine): WritableExtent {
  const refuse = (): Promise<never> =>
    Promise.reject(
      new VmdkError('refused', 'extent-read-only', 'the extent must not be written', {
        path: descriptorPath,
        line: line.line,
        found: `${line.access} ${line.type}`,
        expected: 'RW and a type that stores data',
      }),
    );
  return {
    ...extent,
    unclean: false,
    write: refuse,
    zero: refuse,
    // Refused before the disk gets a new content id: a write that does not happen changes nothing.
    begin: refuse,
    flush: () => Promise.resolve(),
  };
}

export function refusingExtent(path: string): VmdkError {
  return new VmdkError('refused', 'read-only-format', 'a seSparse disk cannot be written in place', {
    path,
    hint: 'How ESXi keeps its journal, bitmap and back map is not public. Make a delta of another type, or convert it.',
  });
}

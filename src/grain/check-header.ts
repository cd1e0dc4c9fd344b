// Reads a header that may be damaged: a field that is wrong and does not matter for finding the tables is noted and
// read as if it were right, so that the check can go on; any other ends it.
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import { COWD_FLAGS, CowdHeaderStruct, parseCowdHeader, type CowdHeader } from '../format/cowd-header.ts';
import { parseSeSparseHeader, SeSparseConstHeader, type SeSparseHeader } from '../format/sesparse-header.ts';
import {
  parseSparseHeader,
  SPARSE_FLAGS,
  SPARSE_MAGIC,
  SparseExtentHeader,
  UNFINISHED_MAGIC,
  type SparseHeader,
} from '../format/sparse-header.ts';
import type { Struct } from '../format/struct.ts';
import type { FindingLog } from './check-findings.ts';

/** More wrong fields than there are fields that can be read past. */
const MOST_MENDED = 16;

/** What is wrong, as the parser says it, put right in a copy; undefined when there is no going on. */
type Mend<V> = (raw: V, error: VmdkError) => Partial<V> | undefined;

/** Parses `bytes` again and again, each time with one more wrong field noted and mended. */
function parseTolerantly<V, H>(
  struct: Struct<V>,
  bytes: Uint8Array,
  parse: (bytes: Uint8Array) => H,
  mend: Mend<V>,
  path: string,
  log: FindingLog,
): H | undefined {
  let at = bytes;
  for (let mended = 0; mended < MOST_MENDED; mended++) {
    try {
      return parse(at);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      if (error.kind === 'unsupported') {
        const reason = error;
        log.cannotCheck({ path }, () => withoutPath(reason));
        return undefined;
      }
      noteHeaderError(error, path, log);
      const raw = struct.decode(at);
      const better = mend(raw, error);
      if (better === undefined) return undefined;
      at = struct.encode({ ...raw, ...better });
    }
  }
  return undefined;
}

/** The header (or footer) of a hosted sparse extent that stands at byte `offset`; undefined when it cannot be used. */
export function judgeSparseHeader(
  bytes: Uint8Array,
  path: string,
  offset: number,
  log: FindingLog,
): SparseHeader | undefined {
  const parse = (from: Uint8Array): SparseHeader => parseSparseHeader(from, path, offset);
  return parseTolerantly(SparseExtentHeader, bytes, parse, mendSparse, path, log);
}

/** The header of an ESX delta; undefined when it cannot be used. */
export function judgeCowdHeader(bytes: Uint8Array, path: string, log: FindingLog): CowdHeader | undefined {
  const mend: Mend<ReturnType<typeof CowdHeaderStruct.decode>> = (_, { context }) => {
    if (context.field === 'version') return { version: 1 };
    if (context.field === 'flags') return { flags: COWD_FLAGS };
    return undefined;
  };
  return parseTolerantly(CowdHeaderStruct, bytes, (from) => parseCowdHeader(from, path), mend, path, log);
}

/** The constant header of a seSparse extent: flags and reserved fields do not matter for finding the tables. */
export function judgeSeSparseHeader(
  bytes: Uint8Array,
  path: string,
  log: FindingLog,
): SeSparseHeader | undefined {
  const parse = (from: Uint8Array): SeSparseHeader => parseSeSparseHeader(from, path);
  const mend: Mend<ReturnType<typeof SeSparseConstHeader.decode>> = (_, { context }) => {
    const { field = '' } = context;
    return field === 'flags' || field.startsWith('reserved') ? { [field]: 0n } : undefined;
  };
  return parseTolerantly(SeSparseConstHeader, bytes, parse, mend, path, log);
}

type RawSparse = ReturnType<typeof SparseExtentHeader.decode>;

function mendSparse(raw: RawSparse, { context }: VmdkError): Partial<RawSparse> | undefined {
  switch (context.field ?? '') {
    case 'magicNumber':
      return raw.magicNumber === UNFINISHED_MAGIC ? { magicNumber: SPARSE_MAGIC } : undefined;
    case 'version':
      return { version: 1 };
    case 'flags': {
      const known = raw.flags & (0xffff | SPARSE_FLAGS.compressed | SPARSE_FLAGS.markers);
      // Markers without compression: nothing says which of the two bits is wrong.
      return known === raw.flags ? undefined : { flags: known };
    }
    case 'newline probe':
      return { flags: (raw.flags & ~SPARSE_FLAGS.newlineProbe) >>> 0 };
    case 'compressAlgorithm':
      return { compressAlgorithm: (raw.flags & SPARSE_FLAGS.compressed) === 0 ? 0 : 1 };
    default:
      return undefined;
  }
}

const CODE_OF_FIELD: Readonly<Record<string, string>> = {
  magicNumber: 'HDR-MAGIC',
  constMagic: 'HDR-MAGIC',
  version: 'HDR-VERSION',
  flags: 'HDR-FLAGS',
  compressAlgorithm: 'HDR-FLAGS',
  'newline probe': 'NEWLINE',
};

/** An error that a header's parser threw, as a finding. */
export function noteHeaderError(error: VmdkError, path: string, log: FindingLog): void {
  const { field = '', offset } = error.context;
  log.error(CODE_OF_FIELD[field] ?? 'HDR-FIELD', { path, offset }, () => withoutPath(error));
}

/** An error's message without the file, which a finding names by itself, and without the way out. */
export function withoutPath(error: VmdkError): string {
  const line = error.message.split('\n')[0]!;
  const path = error.context.path;
  return path !== undefined && line.startsWith(`${path}: `) ? line.slice(path.length + 2) : line;
}

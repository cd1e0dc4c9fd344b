// Digests of each piece of so many bytes, as they come. Rule: a piece of nothing but zeros is hashed once, however many
// there are.
import { createHash, type Hash } from 'node:crypto';
import { eachZeros, named, type Algorithm, type DigestSet } from './digests.ts';

export interface PieceHash {
  /** Bytes from the start. */
  readonly start: number;
  readonly length: number;
  readonly digests: DigestSet;
}

export interface PieceDigester {
  update(data: Uint8Array): Promise<void>;
  zeros(bytes: number): Promise<void>;
  /** The last piece, which may be shorter. */
  end(): Promise<void>;
}

/** `onPiece` is awaited before the next piece begins. */
export function createPieceDigester(
  algorithms: readonly Algorithm[],
  pieceBytes: number,
  onPiece: (piece: PieceHash) => Promise<void> | undefined,
): PieceDigester {
  let start = 0;
  /** Bytes of the piece so far, and how many zeros at its beginning are yet to be hashed: all, as a rule. */
  let [filled, waiting] = [0, 0];
  let hashes = begin(algorithms);
  let ofZeros: DigestSet | undefined;
  const emit = async (length: number, digests: DigestSet): Promise<void> => {
    [filled, waiting] = [0, 0];
    await onPiece({ start, length, digests });
    start += length;
  };
  const close = async (): Promise<void> => {
    hashWaiting();
    const digests = finish(algorithms, hashes);
    hashes = begin(algorithms);
    await emit(filled, digests);
  };
  const hashZeros = (bytes: number): void => {
    eachZeros(bytes, (piece) => {
      for (const hash of hashes) hash.update(piece);
    });
  };
  const hashWaiting = (): void => {
    hashZeros(waiting);
    waiting = 0;
  };
  return {
    async update(data) {
      for (let at = 0; at < data.length;) {
        const part = data.subarray(at, at + pieceBytes - filled);
        hashWaiting();
        for (const hash of hashes) hash.update(part);
        filled += part.length;
        at += part.length;
        if (filled === pieceBytes) await close();
      }
    },
    async zeros(bytes) {
      for (let left = bytes; left > 0;) {
        const length = Math.min(left, pieceBytes - filled);
        if (filled === waiting) waiting += length;
        else hashZeros(length);
        filled += length;
        left -= length;
        if (waiting === pieceBytes) {
          ofZeros ??= zeroDigests(algorithms, pieceBytes);
          await emit(pieceBytes, ofZeros);
        } else if (filled === pieceBytes) await close();
      }
    },
    async end() {
      if (filled > 0) await close();
    },
  };
}

function begin(algorithms: readonly Algorithm[]): Hash[] {
  return algorithms.map((algorithm) => createHash(algorithm));
}

function finish(algorithms: readonly Algorithm[], hashes: readonly Hash[]): DigestSet {
  return named(
    algorithms,
    hashes.map((hash) => hash.digest('hex')),
  );
}

function zeroDigests(algorithms: readonly Algorithm[], bytes: number): DigestSet {
  const hashes = begin(algorithms);
  eachZeros(bytes, (piece) => {
    for (const hash of hashes) hash.update(piece);
  });
  return finish(algorithms, hashes);
}

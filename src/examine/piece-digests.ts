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
  let [start, filled] = [0, 0];
  let hashes = begin(algorithms);
  let ofZeros: DigestSet | undefined;
  const emit = async (length: number, digests: DigestSet): Promise<void> => {
    await onPiece({ start, length, digests });
    start += length;
  };
  const close = async (): Promise<void> => {
    const digests = finish(algorithms, hashes);
    const length = filled;
    hashes = begin(algorithms);
    filled = 0;
    await emit(length, digests);
  };
  return {
    async update(data) {
      for (let at = 0; at < data.length;) {
        const part = data.subarray(at, Math.min(data.length, at + pieceBytes - filled));
        for (const hash of hashes) hash.update(part);
        filled += part.length;
        at += part.length;
        if (filled === pieceBytes) await close();
      }
    },
    async zeros(bytes) {
      for (let left = bytes; left > 0;) {
        if (filled === 0 && left >= pieceBytes) {
          ofZeros ??= zeroDigests(algorithms, pieceBytes);
          await emit(pieceBytes, ofZeros);
          left -= pieceBytes;
          continue;
        }
        const length = Math.min(left, pieceBytes - filled);
        eachZeros(length, (piece) => {
          for (const hash of hashes) hash.update(piece);
        });
        filled += length;
        left -= length;
        if (filled === pieceBytes) await close();
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

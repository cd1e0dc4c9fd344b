// Sends spans of an export as the body of an answer: the next piece is read while the last one is on its way, and no more
// than that is held for a client, however slow it is. A part that cannot be read breaks the answer off: never zeros.
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { BufferPool } from './buffer-pool.ts';
import type { PlannedSource } from '../block/sector-source.ts';
import type { ByteSpan } from './http-ranges.ts';
import { readAt } from './served-bytes.ts';

const PIECE_BYTES = 256 << 10;

/** Text between spans, and the spans: what a body consists of. */
export type BodyPart = ByteSpan | Buffer;

export interface Body {
  readonly parts: readonly BodyPart[];
  /** Bytes. */
  readonly length: number;
  readonly type: string;
}

/** While a body is on its way, files are taken to be as they were last seen for so long, in ms. */
const STILL_TRUE_MS = 1000;

const CONTENT_TYPE = 'application/octet-stream';

/** Who sends a body. */
export interface BodyHost {
  readonly pool: BufferPool;
  /** Writes the head, once the first piece is there to follow it. */
  readonly begin: () => void;
  /** Throws unless what was read until `age` ms ago is of one state of the disk. */
  readonly assertSame: (age: number) => Promise<void>;
}

/** One span as it is, several as `multipart/byteranges`. */
export function bodyOf(spans: readonly [ByteSpan, ...ByteSpan[]], size: number): Body {
  const [only] = spans;
  if (spans.length === 1) return { parts: spans, length: only.end - only.start, type: CONTENT_TYPE };
  const boundary = `vmdkit-${randomBytes(12).toString('hex')}`;
  const parts = spans.flatMap((span): BodyPart[] => [
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: ${CONTENT_TYPE}\r\nContent-Range: ${contentRange(span, size)}\r\n\r\n`,
    ),
    span,
  ]);
  parts.push(Buffer.from(`\r\n--${boundary}--\r\n`));
  const length = parts.reduce(
    (sum, part) => sum + (Buffer.isBuffer(part) ? part.length : part.end - part.start),
    0,
  );
  return { parts, length, type: `multipart/byteranges; boundary=${boundary}` };
}

export function contentRange({ start, end }: ByteSpan, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`;
}

/**
 * Writes `body` and ends the answer, unless the disk changes meanwhile. Resolves when all is handed to the system, or when
 * the client has gone. @throws what reading and `assertSame` throw: the answer is to be broken off.
 */
export async function sendBody(
  response: ServerResponse,
  source: PlannedSource,
  { parts }: Body,
  { pool, begin, assertSame }: BodyHost,
): Promise<void> {
  let begun = false;
  for await (const piece of readPieces(parts, source, pool, () => response.destroyed)) {
    await assertSame(!begun || piece.isLast ? 0 : STILL_TRUE_MS);
    if (!begun) begin();
    begun = true;
    if (!(await written(response, piece))) return;
  }
  response.end();
}

interface Piece {
  readonly bytes: Buffer;
  /** Nothing follows it. */
  readonly isLast: boolean;
  /** Called once nobody looks at it. */
  release: () => void;
}

/** Each piece is read while the one before is used. */
async function* readPieces(
  parts: readonly BodyPart[],
  source: PlannedSource,
  pool: BufferPool,
  isOver: () => boolean,
): AsyncGenerator<Piece> {
  const read = async ({ start, end }: ByteSpan): Promise<Omit<Piece, 'isLast'>> => {
    const buffer = pool.take(end - start);
    const bytes = buffer.subarray(0, end - start);
    await readAt(source, start, bytes);
    return { bytes, release: () => pool.give(buffer) };
  };
  let next: Promise<Omit<Piece, 'isLast'>> | undefined;
  for (const part of pieces(parts)) {
    if (isOver()) break;
    const before = next;
    next = Buffer.isBuffer(part) ? Promise.resolve({ bytes: part, release: () => {} }) : read(part);
    // Its failure is met when its turn comes.
    next.catch(() => {});
    if (before !== undefined) yield { ...(await before), isLast: false };
  }
  if (next !== undefined) yield { ...(await next), isLast: true };
}

function* pieces(parts: readonly BodyPart[]): Generator<BodyPart> {
  for (const part of parts) {
    if (Buffer.isBuffer(part)) yield part;
    else {
      for (let start = part.start; start < part.end;) {
        // Pieces end where grains do, whatever the client began with.
        const end = Math.min(part.end, start - (start % PIECE_BYTES) + PIECE_BYTES);
        yield { start, end };
        start = end;
      }
    }
  }
}

/** False when the client has gone. */
function written(response: ServerResponse, { bytes, release }: Piece): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed) {
      resolve(false);
      return;
    }
    const gone = (): void => resolve(false);
    response.once('close', gone);
    response.write(bytes, (error) => {
      response.off('close', gone);
      if (!error) release();
      resolve(!error);
    });
  });
}

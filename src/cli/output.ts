// Standard output: data, in order, as fast as the reader takes it. Rule: a reader that goes away (`| head`) is no
// error; it stops the work, quietly.
import { styleText } from 'node:util';
import { VmdkError } from '../core/errors.ts';
import type { OutputStream } from './streams.ts';

/** What `styleText` understands, as far as we use it. */
export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';
export type Paint = (style: Style, text: string) => string;

/** The reason of an abort when nobody reads our output any more. */
export class OutputClosedError extends Error {
  override readonly name = 'OutputClosedError';
}

export interface Output {
  readonly isTerminal: boolean;
  readonly paint: Paint;
  /** Resolves once the system has taken it. Text or bytes, nothing added; the bytes may be reused after it. */
  write(data: string | Uint8Array): Promise<void>;
  line(text: string): Promise<void>;
}

/** Writes to `stream` until `controller` is aborted; aborts it when the stream fails or its reader is gone. */
export function createOutput(
  stream: OutputStream,
  color: 'auto' | 'always' | 'never',
  controller: AbortController,
): Output {
  const { signal } = controller;
  stream.on('error', (error: NodeJS.ErrnoException) => controller.abort(reasonFor(error)));
  const write = (data: string | Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      // A reader that is stuck must not keep us from stopping.
      const stop = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
      stream.write(data, (error) => {
        signal.removeEventListener('abort', stop);
        if (error) reject(reasonFor(error));
        else resolve();
      });
    });
  return {
    isTerminal: stream.isTTY === true,
    paint: paintFor(stream, color),
    write,
    line: (text) => write(`${text}\n`),
  };
}

function reasonFor(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE') return new OutputClosedError('nobody reads the output');
  const context = { path: 'stdout', found: error.code ?? error.message };
  return new VmdkError('io', 'output-failed', 'the output cannot be written', context, error);
}

/** Colours on a terminal unless NO_COLOR asks for none. */
export function paintFor(stream: OutputStream, color: 'auto' | 'always' | 'never'): Paint {
  const onTerminal = stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  const wanted = color === 'always' || (color === 'auto' && onTerminal);
  // Whether the stream shows colours is decided above, not by Node once more.
  return wanted ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;
}

// Standard output: data, in order, as fast as the reader takes it. Rule: a reader that goes away (`| head`) is no
// error; it stops the work, quietly.
import { styleText } from 'node:util';

/** What `styleText` understands, as far as we use it. */
export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';
export type Paint = (style: Style, text: string) => string;

/** The reason of an abort when nobody reads our output any more. */
export class OutputClosedError extends Error {
  override readonly name = 'OutputClosedError';
}

export interface Output {
  readonly isTerminal: boolean;
  /** Columns of the terminal; undefined where there is none. */
  readonly columns: number | undefined;
  readonly paint: Paint;
  /** Resolves once the reader has room again. Text or bytes, nothing added; the bytes may be reused after it. */
  write(data: string | Uint8Array): Promise<void>;
  line(text: string): Promise<void>;
}

/** Writes to `stream`; `onClosed` is called once when its reader is gone. */
export function createOutput(
  stream: NodeJS.WriteStream,
  color: 'auto' | 'always' | 'never',
  onClosed: (reason: Error) => void,
): Output {
  let failure: Error | undefined;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  stream.on('drain', wake);
  stream.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error.code === 'EPIPE' ? new OutputClosedError('nobody reads the output') : error;
    onClosed(failure);
    wake();
  });
  const write = async (data: string | Uint8Array): Promise<void> => {
    if (failure !== undefined) throw failure;
    if (stream.write(data)) return;
    await new Promise<void>((resolve) => {
      waiting.add(resolve);
    });
    if (failure !== undefined) throw failure;
  };
  return {
    isTerminal: stream.isTTY === true,
    columns: stream.isTTY === true ? stream.columns : undefined,
    paint: paintFor(stream, color),
    write,
    line: (text) => write(`${text}\n`),
  };
}

/** Colours on a terminal unless NO_COLOR asks for none. */
export function paintFor(stream: NodeJS.WriteStream, color: 'auto' | 'always' | 'never'): Paint {
  const onTerminal = stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  const wanted = color === 'always' || (color === 'auto' && onTerminal);
  // Whether the stream shows colours is decided above, not by Node once more.
  return wanted ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;
}

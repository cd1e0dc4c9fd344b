// Names of clones from a stream, one a line: as they stand, or as JSON objects that hold a "name" and what the caller
// wants to get back beside the result; or a table with a head.
import { usageError } from '../core/errors.ts';
import { MOST_CLONES, type CloneName } from '../operations/clone-names.ts';
import { parseNameTable } from './name-table.ts';

/** More than as many names of full length take, with room for what JSON objects carry. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

/** @throws VmdkError `usage` for a line that is neither; the reason of `signal`. */
export async function readNames(
  stream: NodeJS.ReadableStream & { destroy(): unknown },
  signal: AbortSignal,
): Promise<(string | CloneName)[]> {
  const stop = (): void => void stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  stream.setEncoding('utf8');
  let text = '';
  try {
    for await (const piece of stream) {
      text += String(piece);
      if (text.length > MOST_CHARACTERS) throw tooLong(`more than ${MOST_CHARACTERS} characters`);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
  return parseNames(text);
}

/** Blank lines and blanks around a line count for nothing. @throws VmdkError `usage`. */
export function parseNames(text: string): (string | CloneName)[] {
  const plain = text.replace(/^\ufeff/, '');
  const table = parseNameTable(plain);
  if (table !== undefined) {
    if (table.length > MOST_CLONES) throw tooLong(`more than ${MOST_CLONES} names`);
    return table;
  }
  const names: (string | CloneName)[] = [];
  for (const [index, raw] of plain.split('\n').entries()) {
    const line = raw.trim();
    if (line === '') continue;
    names.push(line.startsWith('{') ? parseObject(line, index + 1) : line);
    if (names.length > MOST_CLONES) throw tooLong(`more than ${MOST_CLONES} names`);
  }
  return names;
}

function parseObject(line: string, number: number): CloneName {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw usageError(`stdin, line ${number}: not JSON, though it begins with {: ${String(error)}`);
  }
  if (hasName(value)) return value;
  throw usageError(`stdin, line ${number}: the object has no "name" that is a text`);
}

function hasName(value: unknown): value is CloneName {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string';
}

function tooLong(found: string): Error {
  return usageError(`stdin: ${found}`, 'Make the clones in several runs.');
}

// Names of clones from a stream: one a line, as they stand or as JSON objects that hold a "name" and what the caller
// wants to get back beside the result; or one JSON array of either; or a table with a head.
import { usageError } from '../core/errors.ts';
import { MOST_CLONES, type CloneName } from '../operations/clone-names.ts';
import { parseNameTable } from './name-table.ts';

/** More than as many names of full length take, with room for what JSON objects carry. */
const MOST_BYTES = 64 * 1024 * 1024;

/** @throws VmdkError `usage` for a line that is neither; the reason of `signal`. */
export async function readNames(
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
): Promise<(string | CloneName)[]> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stream) {
    const data = typeof piece === 'string' ? Buffer.from(piece) : piece;
    length += data.length;
    if (length > MOST_BYTES) throw tooLong(`more than ${MOST_BYTES} bytes`);
    pieces.push(data);
  }
  signal.throwIfAborted();
  return parseNames(decodeNames(Buffer.concat(pieces)));
}

/**
 * UTF-8, or UTF-16 as older PowerShells redirect it: that begins with a mark. A byte that is neither is refused, since the
 * disk would be called otherwise than the list says. @throws VmdkError `usage`.
 */
export function decodeNames(bytes: Uint8Array): string {
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe;
  try {
    return new TextDecoder(wide ? 'utf-16le' : 'utf-8', { fatal: true }).decode(bytes);
  } catch {
    const line = wide ? undefined : lineThatIsNoUtf8(bytes);
    throw usageError(
      `stdin${line === undefined ? '' : `, line ${line}`}: the names are not UTF-8`,
      'Convert the list first: iconv -f WINDOWS-1252 -t UTF-8',
    );
  }
}

function lineThatIsNoUtf8(bytes: Uint8Array): number {
  // U+FFFD stands for what cannot be decoded; where the text has it by itself, an earlier line is named.
  const [before] = Buffer.from(bytes).toString('utf8').split('\ufffd', 1);
  return before!.split('\n').length;
}

/** Blank lines and blanks around a line count for nothing. @throws VmdkError `usage`. */
export function parseNames(text: string): (string | CloneName)[] {
  const plain = text.replace(/^\ufeff/, '');
  const whole = parseDocument(plain) ?? parseNameTable(plain);
  if (whole !== undefined) {
    if (whole.length > MOST_CLONES) throw tooLong(`more than ${MOST_CLONES} names`);
    return whole;
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

/** One array, or one object over several lines, as PowerShell's ConvertTo-Json prints them; undefined for all else. */
function parseDocument(text: string): (string | CloneName)[] | undefined {
  const isArray = /^\s*\[\s*[[{"\]]/.test(text);
  if (!isArray && !/^\s*\{\s*\n/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError(`stdin: not JSON, though it begins as such: ${reasonOf(error)}`);
  }
  return [value].flat().map((entry, index) => {
    if (typeof entry === 'string') return entry;
    return named(entry, isArray ? `stdin, entry ${index + 1}` : 'stdin');
  });
}

function parseObject(line: string, number: number): CloneName {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw usageError(`stdin, line ${number}: not JSON, though it begins with {: ${reasonOf(error)}`);
  }
  return named(value, `stdin, line ${number}`);
}

/** With its `name`, which the caller may spell `Name`. */
function named(value: unknown, where: string): CloneName {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const entry = value as Readonly<Record<string, unknown>>;
    const name = entry['name'] ?? Object.entries(entry).find(([key]) => key.toLowerCase() === 'name')?.[1];
    if (typeof name === 'string') return { ...entry, name };
  }
  throw usageError(`${where}: the object has no "name" that is a text`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tooLong(found: string): Error {
  return usageError(`stdin: ${found}`, 'Make the clones in several runs.');
}

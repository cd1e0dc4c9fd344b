// Names of clones from a stream: one a line, as they stand or as JSON objects that hold a "name" and what the caller
// wants to get back beside the result; or one JSON array of either; or a table with a head.
import { usageError } from '../core/errors.ts';
import { MOST_CLONES, type CloneName } from '../operations/clone-names.ts';
import { parseNameTable } from './name-table.ts';

/** More than as many names of full length take, with room for what JSON objects carry. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

/** @throws VmdkError `usage` for a line that is neither; the reason of `signal`. */
export async function readNames(
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
): Promise<(string | CloneName)[]> {
  stream.setEncoding('utf8');
  let text = '';
  for await (const piece of stream) {
    text += String(piece);
    if (text.length > MOST_CHARACTERS) throw tooLong(`more than ${MOST_CHARACTERS} characters`);
  }
  signal.throwIfAborted();
  return parseNames(text);
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
    throw usageError(`stdin: not JSON, though it begins as such: ${String(error)}`);
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
    throw usageError(`stdin, line ${number}: not JSON, though it begins with {: ${String(error)}`);
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

function tooLong(found: string): Error {
  return usageError(`stdin: ${found}`, 'Make the clones in several runs.');
}

// What clones are called: a template counted through, or a list. Rule: a name must be one file name on every file
// system a datastore is mounted from, and writable in a descriptor as it stands; what is not is refused with the reason.
import { VmdkError, usageError } from '../core/errors.ts';

/** An entry of a list of names; what else the object holds is handed back with the clone's result. */
export interface CloneName {
  readonly name: string;
  readonly [key: string]: unknown;
}

export interface NameRequest {
  /** A list; excludes the three below. */
  readonly names?: readonly (string | CloneName)[] | undefined;
  /** How many names to make of the template. Default 1. */
  readonly count?: number | undefined;
  /**
   * `{n}` is the number, `{n:03}` with at least three digits, `{base}` the base's name; `{{` and `}}` are braces.
   * `{01..20}` counts by itself, and excludes count and start.
   */
  readonly template?: string | undefined;
  /** The first number. Default 1. */
  readonly start?: number | undefined;
}

/** Clones made in one go. */
export const MOST_CLONES = 100_000;
/** The longest name of a file on every file system we know, in bytes; the longest suffix is `-sesparse.vmdk`. */
const LONGEST_NAME = 255 - '-sesparse.vmdk'.length;
/** Windows and SMB keep these for devices, whatever follows the first dot. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;
const HIGHEST_NUMBER = 999_999_999;

/**
 * The names asked for, in order; `base` is the name of the base without `.vmdk`.
 * @throws VmdkError `usage` for a bad template or number; `bad-name` and `duplicate-name` (usage) for a bad name.
 */
export function expandNames(request: NameRequest, base: string): CloneName[] {
  const names = request.names === undefined ? countedNames(request, base) : listedNames(request);
  if (names.length === 0) throw usageError('no clone is asked for: the list of names is empty');
  if (names.length > MOST_CLONES) {
    throw usageError(`${names.length} clones are asked for, at most ${MOST_CLONES} are made in one go`);
  }
  assertDistinct(names);
  return names;
}

/** @throws VmdkError `bad-name` unless `name` can be the name of a clone everywhere. */
export function assertCloneName(name: string): void {
  const reason = whyNot(name);
  if (reason === undefined) return;
  throw new VmdkError('usage', 'bad-name', `a clone cannot be called ${shown(name)}: ${reason}`, {
    field: 'name',
    found: shown(name),
  });
}

function whyNot(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.startsWith('..')) return 'names that begin with two dots lead out of the folder';
  if (name.startsWith('.')) return 'names that begin with a dot are hidden, and kept for unfinished work';
  const bad = /[/\\"|<>:*?\p{Cc}\p{Zl}\p{Zp}\p{Surrogate}]/u.exec(name)?.[0];
  if (bad !== undefined) return `${nameOf(bad)} is not allowed in it`;
  if (/^\s|[\s.]$/u.test(name))
    return 'a blank at either end, or a dot at the end, is lost on some file systems';
  if (DEVICE.test(name)) return 'Windows keeps this name for a device';
  if (/\.vmdk$/i.test(name)) return 'leave .vmdk out, it is added';
  if (Buffer.byteLength(name) > LONGEST_NAME) return `it is longer than ${LONGEST_NAME} bytes`;
  return undefined;
}

function nameOf(character: string): string {
  if (character === '\0') return 'a NUL';
  if (character === '/' || character === '\\') return `the separator ${character}`;
  if (/[!-~]/.test(character)) return `the character ${character}`;
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
}

function listedNames(request: NameRequest): CloneName[] {
  const { names = [], count, template, start } = request;
  if (count !== undefined || template !== undefined || start !== undefined) {
    throw usageError('give either a list of names, or a count, template and start number');
  }
  return names.map((entry, index) => {
    const named = typeof entry === 'string' ? { name: entry } : entry;
    if (typeof named !== 'object' || named === null || typeof named.name !== 'string') {
      throw usageError(
        `entry ${index + 1} of the list of names is neither a name nor an object with a "name"`,
      );
    }
    return named;
  });
}

function countedNames(request: NameRequest, base: string): CloneName[] {
  const { count = 1, template, start = 1 } = withRange(request);
  if (!Number.isInteger(count) || count < 1 || count > MOST_CLONES) {
    throw usageError(`the count of clones is a whole number from 1 to ${MOST_CLONES}, not ${count}`);
  }
  if (!Number.isInteger(start) || start < 0 || start + count - 1 > HIGHEST_NUMBER) {
    throw usageError(`clones are numbered from 0 to ${HIGHEST_NUMBER}, not from ${start}`);
  }
  // Of one width, so that they sort as they count.
  const width = Math.max(2, String(start + count - 1).length);
  const parts = parseTemplate(template ?? `{base}-clone-{n:${String(width).padStart(2, '0')}}`);
  if (count > 1 && !parts.some((part) => typeof part === 'object' && 'width' in part)) {
    throw usageError(
      `the template "${template}" gives every clone the same name`,
      'Put {n} or {n:02} into it.',
    );
  }
  return Array.from({ length: count }, (_, index) => ({ name: filled(parts, base, start + index) }));
}

const RANGE = /(?<!\{)\{(\d{1,9})\.\.(\d{1,9})\}/;

/** A template with a range as the count, the start and the template without one that it stands for. */
function withRange(request: NameRequest): NameRequest {
  const { template, count, start } = request;
  const [token, first = '', last = ''] = RANGE.exec(template ?? '') ?? [];
  if (template === undefined || token === undefined) return request;
  if (count !== undefined || start !== undefined) {
    throw usageError(`the template "${template}" counts by itself: leave the count and the start number out`);
  }
  if (Number(last) < Number(first)) {
    throw usageError(`the range ${token} ends before it begins`, 'The smaller number comes first: {01..20}.');
  }
  const width = first.startsWith('0') ? first.length : 1;
  return {
    template: template.replace(token, `{n:${width}}`),
    start: Number(first),
    count: Number(last) - Number(first) + 1,
  };
}

type TemplatePart = string | { readonly width: number } | { readonly base: true };

function parseTemplate(template: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  for (const [token] of template.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === '{{' || token === '}}') parts.push(token[0]!);
    else if (token === '{base}') parts.push({ base: true });
    else if (/^\{n(?::0?[1-9])?\}$/.test(token)) parts.push({ width: Number(/\d+/.exec(token)?.[0] ?? 1) });
    else if (/[{}]/.test(token)) {
      throw usageError(
        `the template "${template}" holds ${token}, which stands for nothing`,
        'Known are {n}, {n:02}, {01..20} and {base}; {{ and }} are braces.',
      );
    } else parts.push(token);
  }
  return parts;
}

function filled(parts: readonly TemplatePart[], base: string, number: number): string {
  const texts = parts.map((part) => {
    if (typeof part === 'string') return part;
    return 'base' in part ? base : String(number).padStart(part.width, '0');
  });
  return texts.join('');
}

function assertDistinct(names: readonly CloneName[]): void {
  const seen = new Map<string, number>();
  for (const [index, { name }] of names.entries()) {
    assertCloneName(name);
    const folded = name.normalize('NFC').toLowerCase();
    const before = seen.get(folded);
    seen.set(folded, index);
    if (before === undefined) continue;
    const other = names[before]!.name;
    const what =
      other === name
        ? `two clones are called ${shown(name)}`
        : `${shown(other)} and ${shown(name)} are one name to file systems that do not tell case apart`;
    throw new VmdkError('usage', 'duplicate-name', what, {
      field: 'name',
      found: `entries ${before + 1} and ${index + 1}`,
      expected: 'a name of its own for each clone',
    });
  }
}

function shown(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

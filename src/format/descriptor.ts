// The text descriptor of a disk: the model, and the tolerant reader. Rule: whatever real tools wrote is read and kept
// byte for byte; what is wrong with it is collected as problems, and only text that is no descriptor throws.
import { VmdkError } from '../core/errors.ts';
import { parseCid } from './content-id.ts';
import { encryptionKey, findRuleProblems, type RulePair, type RuleProblem } from './descriptor-rules.ts';
import {
  chooseEncoding,
  groupPairs,
  noteOddLine,
  noteTail,
  readExtents,
  readLines,
  type ReadExtent,
  type ReadLine,
} from './descriptor-reading.ts';
import { showText } from './plain-text.ts';
import { valueDecoder } from './text-encoding.ts';
import { splitLines, type TextLine } from './text-lines.ts';

/** Longest text that is read, in bytes up to the first NUL. */
export const MAX_DESCRIPTOR_BYTES = 1024 * 1024;
export const MAX_DESCRIPTOR_LINES = 65536;

/** Every createType, as it is written; other spellings are understood by `createTypeOf`. */
const CREATE_TYPE_NAMES = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
  'fullDevice',
  'partitionedDevice',
  'custom',
  'vmfs',
  'vmfsPreallocated',
  'vmfsEagerZeroedThick',
  'vmfsThin',
  'vmfsThick',
  'vmfsSparse',
  'seSparse',
  'vsanSparse',
  'vmfsRawDeviceMap',
  'vmfsPassthroughRawDeviceMap',
  'vmfsRaw',
] as const;

export type CreateType = (typeof CREATE_TYPE_NAMES)[number];

const CREATE_TYPES: ReadonlyMap<string, CreateType> = new Map<string, CreateType>([
  ...CREATE_TYPE_NAMES.map((name) => [name.toLowerCase(), name] as const),
  ['2gbmaxextentsparse', 'twoGbMaxExtentSparse'],
  ['2gbmaxextentflat', 'twoGbMaxExtentFlat'],
  ['vmfssesparse', 'seSparse'],
  ['vmfsrdm', 'vmfsRawDeviceMap'],
  ['vmfsrdmp', 'vmfsPassthroughRawDeviceMap'],
]);

/** One line, byte-exact: `raw` includes its line end. */
export type DescriptorLine = ReadLine;

/** What an extent line says (sizes and offsets in sectors), and on which line, counted from 1. */
export type ExtentLine = ReadExtent;

/** Something wrong or odd about the text. Codes are kebab-case and begin `desc-`. */
export type DescriptorProblem = RuleProblem;

export interface Descriptor {
  /** The file it was read from. */
  readonly path: string;
  readonly lines: readonly DescriptorLine[];
  /** From the first NUL on: padding, kept for printing. */
  readonly tail: Uint8Array;
  /** Undefined when it is not a decimal number. */
  readonly version: number | undefined;
  /** As declared, or `UTF-8`. */
  readonly encoding: string;
  /** The decoder that was used: another than declared when the bytes do not fit the declaration. */
  readonly decodedAs: string;
  readonly cid: number | undefined;
  /** `NO_PARENT_CID` (ffffffff) means that there is no parent. */
  readonly parentCid: number | undefined;
  /** As written; `createTypeOf` gives the canonical spelling. */
  readonly createType: string | undefined;
  readonly parentFileNameHint: string | undefined;
  readonly isNativeSnapshot: boolean;
  /** The key that says the content is encrypted. */
  readonly encryptedBy?: string;
  readonly changeTrackPath?: string;
  readonly extents: readonly ExtentLine[];
  /** Every header key, in lower case, with its value: also those nobody knows. */
  readonly header: ReadonlyMap<string, string>;
  /** Keys in lower case, in full: `ddb.adaptertype`. */
  readonly ddb: ReadonlyMap<string, string>;
  readonly problems: readonly DescriptorProblem[];
}

/**
 * Reads a descriptor.
 * @throws VmdkError `corrupt`: `not-a-vmdk` when the first line with content is not `version=`;
 * `descriptor-too-large` past 1 MiB or 65,536 lines.
 */
export function parseDescriptor(text: Uint8Array, path: string): Descriptor {
  const nul = text.indexOf(0);
  const body = nul < 0 ? text : text.subarray(0, nul);
  const textLines = limitedLines(body, path);
  const { lines, pairs } = readLines(textLines);
  requireVersionFirst(lines, textLines, path);
  const problems: DescriptorProblem[] = [];
  const encoding = chooseEncoding(body, pairs, problems);
  const decode = valueDecoder(encoding.used);
  const extents = readExtents(lines, textLines, decode, problems);
  const values = groupPairs(pairs, decode, problems);
  for (const [index, line] of lines.entries()) noteOddLine(line, textLines[index]!, index + 1, problems);
  noteTail(text, body, lines.length, problems);
  const header = firstValues(values, (key) => !key.startsWith('ddb.'));
  const createType = nonEmpty(header.get('createtype'));
  const facts = {
    version: parseVersion(header.get('version')),
    cid: parseCid(header.get('cid') ?? ''),
    parentCid: parseCid(header.get('parentcid') ?? ''),
    extents,
  };
  const known = createType === undefined ? undefined : createTypeOf(createType);
  const misspelt = lines.some(({ kind }) => kind === 'extent') && extents.length === 0;
  for (const problem of findRuleProblems({ ...facts, pairs: values, createType: known })) {
    // Extent lines that cannot be read are said one by one: that there is none would hide them.
    if (!(misspelt && problem.code === 'desc-no-extents')) problems.push(problem);
  }
  const encryptedBy = encryptionKey(values);
  const changeTrackPath = nonEmpty(header.get('changetrackpath'));
  return {
    path,
    lines,
    tail: text.subarray(body.length),
    ...facts,
    encoding: encoding.declared,
    decodedAs: encoding.used,
    createType,
    parentFileNameHint: nonEmpty(header.get('parentfilenamehint')),
    isNativeSnapshot: header.get('isnativesnapshot')?.toLowerCase() === 'yes',
    ...(encryptedBy === undefined ? {} : { encryptedBy }),
    ...(changeTrackPath === undefined ? {} : { changeTrackPath }),
    header,
    ddb: firstValues(values, (key) => key.startsWith('ddb.')),
    problems: problems.map(presentable).sort((a, b) => (a.line ?? 0) - (b.line ?? 0)),
  };
}

/** @throws VmdkError for the first problem that is an error: its code, with path, line, found and expected. */
export function assertSoundDescriptor(descriptor: Descriptor): void {
  const { path, problems } = descriptor;
  const problem = problems.find(({ severity }) => severity === 'error');
  if (problem === undefined) return;
  const { code, message, severity: _, ...place } = problem;
  const kind = code === 'desc-encrypted' || code === 'desc-native-snapshot' ? 'unsupported' : 'corrupt';
  throw new VmdkError(kind, code, `descriptor: ${message}`, { path, ...place });
}

/** The canonical spelling of a createType, whatever its case and its alias; undefined when it is no known one. */
export function createTypeOf(text: string): CreateType | undefined {
  return CREATE_TYPES.get(text.toLowerCase());
}

function limitedLines(body: Uint8Array, path: string): TextLine[] {
  if (body.length > MAX_DESCRIPTOR_BYTES) {
    throw new VmdkError('corrupt', 'descriptor-too-large', 'descriptor is too long', {
      path,
      found: `${body.length} bytes`,
      expected: `at most ${MAX_DESCRIPTOR_BYTES}`,
    });
  }
  const lines = splitLines(body, MAX_DESCRIPTOR_LINES);
  if (lines !== undefined) return lines;
  throw new VmdkError('corrupt', 'descriptor-too-large', 'descriptor has too many lines', {
    path,
    found: `more than ${MAX_DESCRIPTOR_LINES} lines`,
    expected: `at most ${MAX_DESCRIPTOR_LINES}`,
  });
}

function requireVersionFirst(
  lines: readonly DescriptorLine[],
  texts: readonly TextLine[],
  path: string,
): void {
  const index = lines.findIndex(({ kind }) => kind !== 'blank' && kind !== 'comment');
  if (lines[index]?.key === 'version') return;
  throw new VmdkError('corrupt', 'not-a-vmdk', 'this is no VMDK descriptor', {
    path,
    ...(index < 0 ? {} : { line: index + 1 }),
    found: index < 0 ? 'nothing but blanks and comments' : showText(texts[index]!.latin1),
    expected: 'a first line "version=..."',
  });
}

function firstValues(
  values: ReadonlyMap<string, RulePair[]>,
  wanted: (key: string) => boolean,
): Map<string, string> {
  const result = new Map<string, string>();
  for (const [key, [kept]] of values) if (wanted(key)) result.set(key, kept!.value);
  return result;
}

function parseVersion(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function presentable(problem: DescriptorProblem): DescriptorProblem {
  if (problem.found === undefined && problem.expected === undefined) return problem;
  return {
    ...problem,
    ...(problem.found === undefined ? {} : { found: showText(problem.found) }),
    ...(problem.expected === undefined ? {} : { expected: showText(problem.expected) }),
  };
}

// What is wrong with a descriptor as a whole: the strict list. Rule: errors say that the disk must not be opened,
// warnings that another program may read it otherwise; whether files exist and fit is judged where they are opened.
import { MAX_SECTORS } from '../core/units.ts';
import { EXTENT_TYPES, type ExtentFields } from './extent-line.ts';
import { HALF_MERGED_KEY, HALF_PATCHED_KEY } from './half-merged.ts';

export interface RuleProblem {
  /** Kebab-case, begins `desc-`. */
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'info';
  /** Line concerned, counted from 1. */
  readonly line?: number;
  readonly message: string;
  readonly found?: string;
  readonly expected?: string;
}

/** A key as the rules see it: the first occurrence counts. */
export interface RulePair {
  readonly line: number;
  readonly value: string;
}

/** The facts the rules judge. Keys are lower case. */
export interface RuleInput {
  readonly pairs: ReadonlyMap<string, readonly RulePair[]>;
  readonly version: number | undefined;
  readonly cid: number | undefined;
  readonly parentCid: number | undefined;
  /** Undefined when the createType is absent or no known word. */
  readonly createType: string | undefined;
  readonly extents: readonly (ExtentFields & { readonly line: number })[];
}

const NO_PARENT = 0xffffffff;
const HIGHEST_VERSION = 4;
/** Keys that VMware's encryption leaves in a descriptor. */
const ENCRYPTION_KEY = /^(?:keyid$|encryption)/;

/** Whether the descriptor says that its content is encrypted; gives the key that says so. */
export function encryptionKey(pairs: ReadonlyMap<string, readonly RulePair[]>): string | undefined {
  for (const key of pairs.keys()) if (ENCRYPTION_KEY.test(key)) return key;
  const filters = pairs.get('ddb.iofilters')?.[0]?.value.toLowerCase() ?? '';
  return filters.includes('vmwarevmcrypt') ? 'ddb.iofilters' : undefined;
}

/** Every rule of the descriptor as a whole, in the order of the header. */
export function findRuleProblems(input: RuleInput): RuleProblem[] {
  const problems: RuleProblem[] = [];
  const report = (problem: RuleProblem | undefined): void => {
    if (problem !== undefined) problems.push(problem);
  };
  report(versionProblem(input));
  report(cidProblem(input, 'cid', 'CID', input.cid));
  report(cidProblem(input, 'parentcid', 'parentCID', input.parentCid));
  report(ownCidProblem(input));
  report(createTypeProblem(input));
  report(parentProblem(input));
  report(contentProblem(input));
  report(mergeProblem(input));
  report(patchProblem(input));
  for (const problem of duplicates(input.pairs)) problems.push(problem);
  for (const problem of extentProblems(input)) problems.push(problem);
  return problems;
}

function versionProblem({ pairs, version }: RuleInput): RuleProblem | undefined {
  if (version !== undefined && version >= 1 && version <= HIGHEST_VERSION) return undefined;
  const pair = first(pairs, 'version');
  return error('desc-version', 'the descriptor version is not one we know', pair, `1 to ${HIGHEST_VERSION}`);
}

function cidProblem(
  { pairs }: RuleInput,
  key: 'cid' | 'parentcid',
  name: string,
  value: number | undefined,
): RuleProblem | undefined {
  if (value !== undefined) return undefined;
  const pair = first(pairs, key);
  const word = key === 'cid' ? 'cid' : 'parent-cid';
  if (pair === undefined)
    return absent(`desc-${word}-missing`, `no ${name}`, `${name}=, with 1 to 8 hex digits`);
  return error(`desc-bad-${word}`, `${name} is no content id`, pair, '1 to 8 hex digits');
}

function ownCidProblem({ pairs, cid }: RuleInput): RuleProblem | undefined {
  if (cid !== NO_PARENT) return undefined;
  return warning('desc-reserved-cid', 'CID has the value that means "no parent"', first(pairs, 'cid'));
}

function createTypeProblem({ pairs, createType }: RuleInput): RuleProblem | undefined {
  const pair = first(pairs, 'createtype');
  if (pair === undefined || pair.value === '')
    return absent('desc-create-type-missing', 'no createType', 'createType="..."');
  if (createType !== undefined) return undefined;
  return warning('desc-create-type-unknown', 'createType is no known word: the extent types decide', pair);
}

function parentProblem({ pairs, parentCid }: RuleInput): RuleProblem | undefined {
  const hint = first(pairs, 'parentfilenamehint');
  const given = hint !== undefined && hint.value !== '';
  if (given && parentCid === NO_PARENT) {
    return error(
      'desc-hint-without-parent',
      'names a parent, yet parentCID says that there is none',
      hint,
      'a parentCID other than ffffffff, or no parentFileNameHint',
    );
  }
  if (given || parentCid === undefined || parentCid === NO_PARENT) return undefined;
  const line = hint ?? first(pairs, 'parentcid');
  return warning(
    'desc-hint-missing',
    'has a parent and does not say where: it must be searched by its CID',
    line,
  );
}

function contentProblem({ pairs }: RuleInput): RuleProblem | undefined {
  const native = first(pairs, 'isnativesnapshot');
  if (native?.value.toLowerCase() === 'yes') {
    return error('desc-native-snapshot', 'the storage array holds the data of this snapshot', native, 'no');
  }
  const key = encryptionKey(pairs);
  if (key === undefined) return undefined;
  return {
    code: 'desc-encrypted',
    severity: 'error',
    line: first(pairs, key)!.line,
    message: 'the content is encrypted',
    found: key,
  };
}

/** Read as it stands, since disks above hide what changes; by itself it is neither what it was nor what it will be. */
function mergeProblem({ pairs }: RuleInput): RuleProblem | undefined {
  const mark = first(pairs, HALF_MERGED_KEY);
  if (mark === undefined) return undefined;
  return warning(
    'desc-half-merged',
    'a merge into this disk was stopped: what stands on it reads as before, the disk alone is between old and new; the same command with --in-place finishes it',
    mark,
  );
}

/** The same of a patch: nothing above hides what changes, and only the same patch knows what is still to be written. */
function patchProblem({ pairs }: RuleInput): RuleProblem | undefined {
  const mark = first(pairs, HALF_PATCHED_KEY);
  if (mark === undefined) return undefined;
  return warning(
    'desc-half-patched',
    'a patch onto this disk was stopped, and it is between old and new; the same patch, applied again, finishes it',
    mark,
  );
}

/** Identical duplicates are harmless. Different ones are read differently by every program; in the ddb they only describe. */
function* duplicates(pairs: RuleInput['pairs']): Generator<RuleProblem> {
  for (const [key, [kept, ...more]] of pairs) {
    for (const again of more) {
      if (again.value === kept!.value) {
        yield warning('desc-duplicate-key', `${key} stands twice, with the same value`, again);
      } else if (key.startsWith('ddb.')) {
        yield warning('desc-duplicate-key', `${key} stands twice: the first is taken`, again, kept!.value);
      } else {
        yield error('desc-conflicting-key', `${key} stands twice, with another value`, again, kept!.value);
      }
    }
  }
}

function* extentProblems({ extents }: RuleInput): Generator<RuleProblem> {
  if (extents.length === 0) yield absent('desc-no-extents', 'no extent line', 'RW <sectors> <type> "<file>"');
  let sum = 0;
  for (const extent of extents) {
    const at = { line: extent.line, value: extent.type };
    if (!EXTENT_TYPES.has(extent.type)) {
      yield error('desc-extent-type', 'unknown type of extent', at, [...EXTENT_TYPES].join(', '));
    } else if (extent.fileName === undefined && extent.type !== 'ZERO') {
      yield error(
        'desc-extent-name-missing',
        `a ${extent.type} extent names no file`,
        at,
        'a file name in quotes',
      );
    }
    if (extent.sectors === 0) {
      yield warning('desc-extent-empty', 'an extent of no sectors', { line: extent.line, value: '0' });
    }
    yield* extentOddities(extent);
    if (sum <= MAX_SECTORS && sum + extent.sectors > MAX_SECTORS) {
      const found = { line: extent.line, value: String(sum + extent.sectors) };
      yield error(
        'desc-disk-too-large',
        'the extents add up to too much',
        found,
        `at most ${MAX_SECTORS} sectors`,
      );
    }
    sum += extent.sectors;
  }
  if (extents.length > 0 && sum === 0) {
    const at = { line: extents[0]!.line, value: '0 sectors' };
    yield error('desc-disk-empty', 'the extents add up to no sectors', at, 'at least 1 sector');
  }
}

function* extentOddities(extent: RuleInput['extents'][number]): Generator<RuleProblem> {
  const { line, type, fileName, offset, hasOffset } = extent;
  if (fileName === '')
    yield warning('desc-extent-name-empty', 'the name of an extent is empty', { line, value: '""' });
  if (fileName !== undefined && CONTROL.test(fileName)) {
    yield warning('desc-extent-name-odd', 'the name of an extent holds control characters', {
      line,
      value: fileName,
    });
  }
  if (type === 'FLAT' && !hasOffset) {
    yield warning('desc-extent-offset-missing', 'a FLAT extent without an offset: read as 0', {
      line,
      value: type,
    });
  }
  if (offset !== 0 && type !== 'FLAT') {
    const found = { line, value: String(offset) };
    yield warning(
      'desc-extent-offset-odd',
      `an offset in a ${type} extent: others ignore or refuse it`,
      found,
    );
  }
}

// eslint-disable-next-line no-control-regex -- these are the characters asked about
const CONTROL = /[\u0000-\u001f\u007f]/;

function first(pairs: RuleInput['pairs'], key: string): RulePair | undefined {
  return pairs.get(key)?.[0];
}

function error(code: string, message: string, at?: RulePair, expected?: string): RuleProblem {
  return problem('error', code, message, at, expected);
}

/** Something that should be there and is not. */
function absent(code: string, message: string, expected: string): RuleProblem {
  return { code, severity: 'error', message, found: 'none', expected };
}

function warning(code: string, message: string, at?: RulePair, expected?: string): RuleProblem {
  return problem('warning', code, message, at, expected);
}

function problem(
  severity: RuleProblem['severity'],
  code: string,
  message: string,
  at: RulePair | undefined,
  expected: string | undefined,
): RuleProblem {
  return {
    code,
    severity,
    message,
    ...(at === undefined ? {} : { line: at.line, found: at.value }),
    ...(expected === undefined ? {} : { expected }),
  };
}

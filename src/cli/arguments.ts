// The command line as values. Splitting it is yargs' parser, with all guessing switched off; the rules are ours: what
// nobody declared is refused with the nearest word that is known, and numbers are never guessed. Only the parser of
// yargs is loaded: its command layer takes longer to start than most commands take to run.
import { Parser } from 'yargs/helpers';
import { usageError } from '../core/errors.ts';
import type { CommandDeclaration, OperandSpec, OptionSpec } from './command.ts';
import { Arguments } from './parsed-arguments.ts';
import { DISK_OPTIONS, EVIDENCE_MODE, EVIDENCE_OPTIONS, GLOBAL_OPTIONS } from './global-options.ts';
import { nearest } from './suggest.ts';

export interface CommandLine<C extends CommandDeclaration> {
  /** Undefined when no command was named. */
  readonly command: C | undefined;
  readonly args: Arguments;
}

/** Every option that `command` takes. */
export function optionsOf(command: CommandDeclaration | undefined): readonly OptionSpec[] {
  if (command === undefined) return GLOBAL_OPTIONS;
  const disks = command.opensDisks === true ? DISK_OPTIONS : [];
  return [...(command.options ?? []), ...disks, ...evidenceOptionsOf(command), ...GLOBAL_OPTIONS];
}

/** Those that say how evidence is dealt with. */
export function evidenceOptionsOf({ evidence }: CommandDeclaration): readonly OptionSpec[] {
  if (evidence === undefined) return [];
  return evidence === 'always' ? EVIDENCE_OPTIONS : [EVIDENCE_MODE, ...EVIDENCE_OPTIONS];
}

/** @throws VmdkError `usage`. */
export function parseCommandLine<C extends CommandDeclaration>(
  argv: readonly string[],
  commands: readonly C[],
): CommandLine<C> {
  const at = commandIndex(argv);
  const word = at === undefined ? undefined : argv[at]!;
  const command = commands.find(({ name }) => name === word);
  if (word !== undefined && command === undefined) throw unknownCommand(word, commands);
  const options = optionsOf(command);
  const rest = at === undefined ? argv : [...argv.slice(0, at), ...argv.slice(at + 1)];
  const { given, words } = readWords(rest, options, command);
  const asksForHelp = given.has('help') || given.has('version');
  const operands =
    command === undefined || asksForHelp ? new Map<string, string[]>() : placeOperands(words, command);
  return { command, args: new Arguments(options, given, operands) };
}

/** The first word that is neither an option nor the value of one. */
function commandIndex(argv: readonly string[]): number | undefined {
  const { words, places } = split(argv, [...GLOBAL_OPTIONS, ...DISK_OPTIONS, ...EVIDENCE_OPTIONS]);
  const at = words.findIndex((word) => !looksLikeOption(word));
  return at < 0 ? undefined : places[at];
}

interface SplitLine {
  /** Values by option; undefined for a flag, `''` where a value is missing. */
  readonly given: ReadonlyMap<string, readonly (string | undefined)[]>;
  /** Operands, and options that nobody declared. */
  readonly words: readonly string[];
  /** Where each of `words` stands in the line. */
  readonly places: readonly number[];
  /** Words after `--`, which are never options. */
  readonly literal: readonly string[];
}

const NO_GUESSING = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'populate--': true,
  'strip-aliased': true,
  'unknown-options-as-args': true,
} as const;

/** Values are tied to their options first, so that the parser never takes `-10G` for flags or a value for a word. */
function split(argv: readonly string[], options: readonly OptionSpec[]): SplitLine {
  const { line, places } = tieValues(argv, options);
  const named = (flags: boolean): string[] =>
    options.filter(({ value }) => (value === undefined) === flags).map(({ name }) => name);
  const alias = Object.fromEntries(options.flatMap(({ name, short }) => (short ? [[name, [short]]] : [])));
  const parsed = Parser(line, {
    boolean: named(true),
    string: named(false),
    alias,
    configuration: NO_GUESSING,
  });
  const given = new Map<string, (string | undefined)[]>();
  for (const { name, value } of options) {
    const found: unknown = Object.hasOwn(parsed, name) ? parsed[name] : undefined;
    if (found === undefined) continue;
    const values = (Array.isArray(found) ? found : [found]) as unknown[];
    given.set(
      name,
      values.map((each) => (value === undefined ? undefined : String(each))),
    );
  }
  const words = parsed._.map(String);
  let from = 0;
  const wordPlaces = words.map((word) => {
    const at = line.indexOf(word, from);
    from = at + 1;
    return places[at]!;
  });
  return { given, words, places: wordPlaces, literal: (parsed['--'] ?? []).map(String) };
}

/** `--length -1G` becomes `--length=-1G`; also refuses `--json=x`, which the parser would take for `--json`. */
function tieValues(
  argv: readonly string[],
  options: readonly OptionSpec[],
): { line: string[]; places: number[] } {
  const line: string[] = [];
  const places: number[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    places.push(at);
    if (word === '--') {
      line.push(...argv.slice(at));
      for (let rest = at + 1; rest < argv.length; rest++) places.push(rest);
      break;
    }
    const option = options.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
    const inline = options.find(({ name, value }) => value === undefined && word.startsWith(`--${name}=`));
    if (inline !== undefined) throw usageError(`--${inline.name} takes no value`);
    const next = argv[at + 1];
    const alone = option?.value === undefined || option.optionalValue === true;
    const [, name, value] = /^(--[^=]+=)(.*)$/s.exec(word) ?? [];
    if (name !== undefined && value !== undefined) line.push(`${name}${quoted(value)}`);
    else if (alone || next === undefined || looksLikeOption(next)) line.push(word);
    else {
      line.push(`--${option.name}=${quoted(next)}`);
      at++;
    }
  }
  return { line, places };
}

/** The parser takes the quotes off a value that begins and ends with them, which the shell left there on purpose. */
function quoted(value: string): string {
  return /^(["']).*\1$/s.test(value) ? `"${value}"` : value;
}

/** What looks like an option was not meant as a value; `-` and negative numbers may be one. */
function looksLikeOption(word: string): boolean {
  return /^-[-a-z]/i.test(word);
}

function readWords(
  argv: readonly string[],
  options: readonly OptionSpec[],
  command: CommandDeclaration | undefined,
): { given: Map<string, string[]>; words: string[] } {
  const { given: raw, words, literal } = split(argv, options);
  const unknown = words.find(looksLikeOption);
  if (unknown !== undefined) throw unknownOption(unknown.replace(/=.*$/s, ''), options, command);
  const given = new Map<string, string[]>();
  for (const option of options) {
    const values = raw.get(option.name);
    if (values === undefined) continue;
    if (values.length > 1 && option.value !== undefined && option.many !== true) {
      throw usageError(`--${option.name} is given twice`);
    }
    given.set(
      option.name,
      values.map((value) => valueOf(`--${option.name}`, value, option)),
    );
  }
  return { given, words: [...words, ...literal] };
}

function valueOf(rawName: string, value: string | undefined, option: OptionSpec): string {
  if (option.value === undefined) return '';
  if (value === undefined || value === '') {
    if (option.optionalValue === true) return '';
    throw usageError(`${rawName} needs a value: ${option.value}`);
  }
  if (option.stream !== true && FILE_VALUES.has(option.value)) assertNoStream(rawName, value);
  if (option.choices !== undefined && !option.choices.includes(value)) {
    const meant = nearest(value, option.choices);
    throw usageError(
      `${rawName}: "${value}" is none of ${option.choices.join(', ')}`,
      meant === undefined ? undefined : `Did you mean ${meant}?`,
    );
  }
  return value;
}

/** What operands and values of options are called that name files or folders. */
const FILE_OPERANDS = new Set(
  'A B BASE DELTA DIR DISK DISK_OR_VM DST FILE NEW OLD PATCH SPEC SRC VM VM_OR_DISK'.split(' '),
);
const FILE_VALUES = new Set('DIR DISK DST FILE LEAF LINK PARENT VM'.split(' '));

/** A script that pipes would else be left with a file that is called `-`. */
function assertNoStream(what: string, value: string): void {
  if (value !== '-') return;
  throw usageError(
    `${what} must name a file: - stands for no stream here`,
    'A file that is called so is ./-',
  );
}

function placeOperands(
  words: readonly string[],
  command: CommandDeclaration,
): Map<string, readonly string[]> {
  const placed = new Map<string, readonly string[]>();
  let at = 0;
  for (const { name, optional, many, stream } of command.operands) {
    const taken = many === true ? words.slice(at) : words.slice(at, at + 1);
    if (taken.length === 0 && optional !== true) {
      throw usageError(`${command.name} needs ${name}`, `Usage: ${usageOf(command)}`);
    }
    if (stream !== true && FILE_OPERANDS.has(name))
      for (const word of taken) assertNoStream(`${command.name}: ${name}`, word);
    at += taken.length;
    placed.set(name, taken);
  }
  if (at < words.length) {
    throw usageError(`${command.name}: "${words[at]}" is one word too many`, `Usage: ${usageOf(command)}`);
  }
  return placed;
}

/** `vmdkit map DISK [options]` */
export function usageOf(command: CommandDeclaration): string {
  const operands = command.operands.map(operandShown);
  return ['vmdkit', command.name, ...operands, '[options]'].join(' ');
}

export function operandShown({ name, optional, many }: OperandSpec): string {
  const shown = many === true ? `${name}…` : name;
  return optional === true ? `[${shown}]` : shown;
}

function unknownCommand(word: string, commands: readonly CommandDeclaration[]): Error {
  const names = commands.map(({ name }) => name);
  const meant = nearest(word, names);
  const hint = meant === undefined ? `Commands: ${names.join(', ')}.` : `Did you mean ${meant}?`;
  return usageError(`there is no command "${word}"`, hint);
}

function unknownOption(
  rawName: string,
  options: readonly OptionSpec[],
  command: CommandDeclaration | undefined,
): Error {
  const names = options.flatMap(({ name, short }) => [`--${name}`, ...(short ? [`-${short}`] : [])]);
  const meant = rawName.startsWith('--') ? nearest(rawName, names) : undefined;
  const help = command === undefined ? 'vmdkit --help' : `vmdkit ${command.name} --help`;
  return usageError(
    `there is no option ${rawName}${command === undefined ? '' : ` of ${command.name}`}`,
    meant === undefined ? `See ${help}.` : `Did you mean ${meant}?`,
  );
}

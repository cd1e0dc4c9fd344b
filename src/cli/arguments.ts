// The command line as values. Parsing is Node's own (node:util); the rules are ours: what nobody declared is refused
// with the nearest word that is known, numbers are never guessed.
import { parseArgs } from 'node:util';
import { usageError } from '../core/errors.ts';
import type { CommandSpec, OperandSpec, OptionSpec } from './command.ts';
import { DISK_OPTIONS, GLOBAL_OPTIONS } from './global-options.ts';
import { parseSize } from './sizes.ts';
import { nearest } from './suggest.ts';

/** What was given, by name. Asking for what the command did not declare is a programmer's error. */
export class Arguments {
  readonly #options: readonly OptionSpec[];
  readonly #given: ReadonlyMap<string, readonly string[]>;
  readonly #operands: ReadonlyMap<string, readonly string[]>;

  constructor(
    options: readonly OptionSpec[],
    given: ReadonlyMap<string, readonly string[]>,
    operands: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#options = options;
    this.#given = given;
    this.#operands = operands;
  }

  /** A required operand. */
  operand(name: string): string {
    return this.operands(name)[0]!;
  }

  optionalOperand(name: string): string | undefined {
    return this.operands(name)[0];
  }

  operands(name: string): readonly string[] {
    const values = this.#operands.get(name);
    if (values === undefined) throw new RangeError(`undeclared operand ${name}`);
    return values;
  }

  flag(name: string): boolean {
    return this.#valuesOf(name).length > 0;
  }

  /** The last value given. */
  text(name: string): string | undefined {
    return this.#valuesOf(name).at(-1);
  }

  texts(name: string): readonly string[] {
    return this.#valuesOf(name);
  }

  /** A size or offset in bytes. @throws VmdkError `usage`. */
  bytes(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseSize(text, `--${name}`);
  }

  /** A whole number. @throws VmdkError `usage`. */
  count(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    throw usageError(`--${name}: "${text}" is no whole number`);
  }

  #valuesOf(name: string): readonly string[] {
    if (!this.#options.some((option) => option.name === name)) {
      throw new RangeError(`undeclared option --${name}`);
    }
    return this.#given.get(name) ?? [];
  }
}

export interface CommandLine {
  /** Undefined when no command was named. */
  readonly command: CommandSpec | undefined;
  readonly args: Arguments;
}

/** Every option that `command` takes. */
export function optionsOf(command: CommandSpec | undefined): readonly OptionSpec[] {
  if (command === undefined) return GLOBAL_OPTIONS;
  const disks = command.opensDisks === true ? DISK_OPTIONS : [];
  return [...(command.options ?? []), ...disks, ...GLOBAL_OPTIONS];
}

/** @throws VmdkError `usage`. */
export function parseCommandLine(argv: readonly string[], commands: readonly CommandSpec[]): CommandLine {
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
  const { tokens } = tokenize(argv, [...GLOBAL_OPTIONS, ...DISK_OPTIONS]);
  return tokens.find(({ kind }) => kind === 'positional')?.index;
}

function tokenize(argv: readonly string[], options: readonly OptionSpec[]) {
  const declared = options.map(({ name, short, value }) => [
    name,
    { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short && { short }) },
  ]);
  return parseArgs({
    args: [...argv],
    options: Object.fromEntries(declared),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
}

function readWords(
  argv: readonly string[],
  options: readonly OptionSpec[],
  command: CommandSpec | undefined,
): { given: Map<string, string[]>; words: string[] } {
  const given = new Map<string, string[]>();
  const words: string[] = [];
  for (const token of tokenize(argv, options).tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options.find(({ name }) => name === token.name);
    if (option === undefined) throw unknownOption(token.rawName, options, command);
    const values = given.get(option.name) ?? [];
    if (values.length > 0 && option.value !== undefined && option.many !== true) {
      throw usageError(`${token.rawName} is given twice`);
    }
    values.push(valueOf(token.rawName, token.value, token.inlineValue === true, option));
    given.set(option.name, values);
  }
  return { given, words };
}

function valueOf(rawName: string, value: string | undefined, inline: boolean, option: OptionSpec): string {
  if (option.value === undefined) {
    if (value === undefined) return '';
    throw usageError(`${rawName} takes no value`);
  }
  // What looks like the next option was not meant as a value; `-` and negative numbers are left to the reader.
  if (value === undefined || value === '' || (!inline && /^-[-a-z]/i.test(value))) {
    throw usageError(`${rawName} needs a value: ${option.value}`);
  }
  if (option.choices !== undefined && !option.choices.includes(value)) {
    const meant = nearest(value, option.choices);
    throw usageError(
      `${rawName}: "${value}" is none of ${option.choices.join(', ')}`,
      meant === undefined ? undefined : `Did you mean ${meant}?`,
    );
  }
  return value;
}

function placeOperands(words: readonly string[], command: CommandSpec): Map<string, readonly string[]> {
  const placed = new Map<string, readonly string[]>();
  let at = 0;
  for (const { name, optional, many } of command.operands) {
    const taken = many === true ? words.slice(at) : words.slice(at, at + 1);
    if (taken.length === 0 && optional !== true) {
      throw usageError(`${command.name} needs ${name}`, `Usage: ${usageOf(command)}`);
    }
    at += taken.length;
    placed.set(name, taken);
  }
  if (at < words.length) {
    throw usageError(`${command.name}: "${words[at]}" is one word too many`, `Usage: ${usageOf(command)}`);
  }
  return placed;
}

/** `vmdkit map DISK [options]` */
export function usageOf(command: CommandSpec): string {
  const operands = command.operands.map(operandShown);
  return ['vmdkit', command.name, ...operands, '[options]'].join(' ');
}

export function operandShown({ name, optional, many }: OperandSpec): string {
  const shown = many === true ? `${name}…` : name;
  return optional === true ? `[${shown}]` : shown;
}

function unknownCommand(word: string, commands: readonly CommandSpec[]): Error {
  const names = commands.map(({ name }) => name);
  const meant = nearest(word, names);
  const hint = meant === undefined ? `Commands: ${names.join(', ')}.` : `Did you mean ${meant}?`;
  return usageError(`there is no command "${word}"`, hint);
}

function unknownOption(
  rawName: string,
  options: readonly OptionSpec[],
  command: CommandSpec | undefined,
): Error {
  const names = options.flatMap(({ name, short }) => [`--${name}`, ...(short ? [`-${short}`] : [])]);
  const meant = rawName.startsWith('--') ? nearest(rawName, names) : undefined;
  const help = command === undefined ? 'vmdkit --help' : `vmdkit ${command.name} --help`;
  return usageError(
    `there is no option ${rawName}${command === undefined ? '' : ` of ${command.name}`}`,
    meant === undefined ? `See ${help}.` : `Did you mean ${meant}?`,
  );
}

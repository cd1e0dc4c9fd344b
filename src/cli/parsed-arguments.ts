// What a command line gave, by name: the values of options and operands, and how each is read.
import { usageError } from '../core/errors.ts';
import type { OptionSpec } from './command.ts';
import { parseSize } from '../core/sizes.ts';

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

  /** Whether the command has such an option. */
  declares(name: string): boolean {
    return this.#options.some((option) => option.name === name);
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

  /** A whole number, `least` or more. @throws VmdkError `usage`. */
  count(name: string, least = 0): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw usageError(`--${name}: "${text}" is no whole number${least === 0 ? '' : ` from ${least} on`}`);
  }

  #valuesOf(name: string): readonly string[] {
    if (!this.declares(name)) {
      throw new RangeError(`undeclared option --${name}`);
    }
    return this.#given.get(name) ?? [];
  }
}

// How a command declares itself: a plain object that feeds the parser, the help, the completion and the table in the
// README. What it does is a module that is loaded only when it runs (see command-module.ts).
export interface OptionSpec {
  /** Without the two dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in help, e.g. `FILE`; an option without it is a flag. */
  readonly value?: string;
  /** The value may be left out; where it is given, it is tied: `--partial=ff`. */
  readonly optionalValue?: boolean;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly many?: boolean;
  /** `-` stands for stdin or stdout, or for names from stdin; where it does not, `-` is refused for files. */
  readonly stream?: boolean;
  readonly summary: string;
}

/** A word that is no option, by position. Only the last may be optional or many. */
export interface OperandSpec {
  /** In capitals, as help shows it: `DISK`. */
  readonly name: string;
  readonly optional?: boolean;
  /** One or more of them. */
  readonly many?: boolean;
  /** As of an option. */
  readonly stream?: boolean;
}

export interface CommandDeclaration {
  readonly name: string;
  /** One line: what it does, for the list of commands. */
  readonly summary: string;
  readonly operands: readonly OperandSpec[];
  readonly options?: readonly OptionSpec[];
  /** True adds the options that say how disks are opened: --allow, --map and so on. */
  readonly opensDisks?: boolean;
  /**
   * How the command deals with evidence: it always reads as evidence, or it does when --evidence or --manifest is given. It then reads through
   * `context.store`, which cannot write, and writes through `context.outputs`.
   */
  readonly evidence?: 'always' | 'offered';
  /** Whole command lines that help shows. */
  readonly examples?: readonly string[];
  /** Paragraphs that help shows after the options. */
  readonly notes?: readonly string[];
}

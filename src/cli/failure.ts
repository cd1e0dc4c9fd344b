// How a failure is told: one block on stderr for people, one line of JSON for programs, and an exit code. Rule: the
// message alone says file, place, found and expected; a stack only with --verbose.
import { isVmdkError, VmdkError, type ErrorKind } from '../core/errors.ts';
import { legible } from './legible.ts';
import type { Paint } from './output.ts';

export const EXIT = {
  done: 0,
  /** The answer is "no": differs, damaged, not verified. */
  no: 1,
  usage: 2,
  failed: 3,
  refused: 4,
} as const;

const EXIT_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  usage: EXIT.usage,
  missing: EXIT.failed,
  corrupt: EXIT.failed,
  unsupported: EXIT.failed,
  io: EXIT.failed,
  conflict: EXIT.refused,
  refused: EXIT.refused,
};

/** The exit code for whatever a command threw, signals aside. */
export function exitCodeOf(error: unknown): number {
  return isVmdkError(error) ? EXIT_OF_KIND[error.kind] : EXIT.failed;
}

/** Of things that failed one by one: what one of them alone would have ended with, the worst first. */
export function exitCodeOfProblems(problems: readonly { readonly kind: ErrorKind }[]): number {
  if (problems.length === 0) return EXIT.done;
  return problems.every(({ kind }) => kind === 'refused' || kind === 'conflict') ? EXIT.refused : EXIT.failed;
}

export interface FailureStyle {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly paint: Paint;
}

/** The whole text for stderr, with its last line end. */
export function describeFailure(error: unknown, style: FailureStyle): string {
  if (style.json) return `${JSON.stringify({ error: failureJson(error) })}\n`;
  const label = style.paint('red', 'vmdkit:');
  if (isVmdkError(error)) {
    const stack = style.verbose ? `\n${stackOf(error)}` : '';
    return `${label} ${legible(error.message)}${legible(stack)}\n`;
  }
  const message = error instanceof Error ? error.message : String(error);
  const more = style.verbose ? stackOf(error) : `  ${BUG} Run again with -v for where it happened.`;
  return `${label} ${legible(message)}\n${legible(more)}\n`;
}

const BUG = 'This is a bug in vmdkit.';

/** The object behind `error` in JSON: `code`, `message`, and every place the error knows. */
export function failureJson(error: unknown): Record<string, unknown> {
  if (!(error instanceof VmdkError)) {
    return { code: 'bug', message: error instanceof Error ? error.message : String(error), hint: BUG };
  }
  const { path, offset, line, sector, field, found, expected, hint, candidates } = error.context;
  const message = error.message.split('\n')[0];
  return {
    code: error.code,
    kind: error.kind,
    message,
    ...defined({ path, offset, line, sector, field, found, expected, hint, candidates }),
  };
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function stackOf(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    parts.push((at === error ? '' : 'caused by ') + (at.stack ?? at.message));
  }
  return parts.join('\n');
}

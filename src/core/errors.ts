// The one error type. Every failure that a caller may want to tell apart is a VmdkError with a stable code;
// abort reasons and programmer errors pass through unwrapped.

/** What sort of failure it is; decides the exit code of the command line. */
export type ErrorKind = 'usage' | 'missing' | 'corrupt' | 'conflict' | 'unsupported' | 'refused' | 'io';

/** Where and what: everything a message names, for programs. */
export interface ErrorContext {
  /** The file concerned, as opened. */
  path?: string;
  /** Byte offset in that file. */
  offset?: number;
  /** Line number in a text, counted from 1. */
  line?: number;
  /** First sector concerned, as the guest counts. */
  sector?: number;
  /** The structure or field, in the format's own words. */
  field?: string;
  found?: string | number;
  expected?: string | number;
  /** The way out, one sentence. */
  hint?: string;
  /** Everything that was tried, each with what it turned out to be. */
  candidates?: readonly { path: string; outcome: string }[];
}

export class VmdkError extends Error {
  override readonly name = 'VmdkError';
  readonly kind: ErrorKind;
  /** Stable, kebab-case, e.g. `grain-out-of-range`. */
  readonly code: string;
  /** The message without file, place and way out. */
  readonly what: string;
  readonly context: Readonly<ErrorContext>;

  constructor(kind: ErrorKind, code: string, what: string, context: ErrorContext = {}, cause?: unknown) {
    super(composeMessage(what, context), cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = code;
    this.what = what;
    this.context = context;
  }
}

/** Narrows `err` to a VmdkError, of one of `codes` when any are given. */
export function isVmdkError(err: unknown, ...codes: readonly string[]): err is VmdkError {
  return err instanceof VmdkError && (codes.length === 0 || codes.includes(err.code));
}

/** Bad arguments by the caller: exit code 2 on the command line. */
export function usageError(what: string, hint?: string): VmdkError {
  return new VmdkError('usage', 'usage', what, hint === undefined ? {} : { hint });
}

/**
 * The same error about `to` where it is about `from` or what lies in it: work is done in hidden places, and an error names
 * those that its reader knows.
 */
export function errorAbout(error: unknown, from: string, to: string): unknown {
  if (!isVmdkError(error)) return error;
  const { kind, code, what, context, cause } = error;
  if (context.path === undefined || !`${context.path}/`.startsWith(`${from}/`)) return error;
  return new VmdkError(kind, code, what, { ...context, path: to + context.path.slice(from.length) }, cause);
}

/** `file: what at place: found X, expected Y. Hint`: the message alone says it all. */
function composeMessage(what: string, context: ErrorContext): string {
  let text = context.path === undefined ? what : `${context.path}: ${what}`;
  const place = placeOf(context);
  if (place !== '') text += ` (${place})`;
  const compared = [
    ...(context.found === undefined ? [] : [`found ${context.found}`]),
    ...(context.expected === undefined ? [] : [`expected ${context.expected}`]),
  ];
  if (compared.length > 0) text += `: ${compared.join(', ')}`;
  for (const { path, outcome } of context.candidates ?? []) text += `\n  tried ${path}: ${outcome}`;
  if (context.hint !== undefined) text += `\n  ${context.hint}`;
  return text;
}

function placeOf(context: ErrorContext): string {
  const places = [
    ...(context.field === undefined ? [] : [context.field]),
    ...(context.line === undefined ? [] : [`line ${context.line}`]),
    ...(context.offset === undefined ? [] : [`byte ${context.offset}`]),
    ...(context.sector === undefined ? [] : [`sector ${context.sector} of the disk`]),
  ];
  return places.join(', ');
}

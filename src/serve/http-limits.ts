// What clients may take of the HTTP server, all of it named, and what is told of them.

/** What clients may take of the server. */
export interface HttpLimits {
  /** Clients at once; the next one is refused until one leaves. */
  readonly connections: number;
  /** From the first byte of a request to the end of its head, ms. */
  readonly headMs: number;
  /** A client that takes nothing of its answer, ms. */
  readonly stallMs: number;
  /** Between two requests of one client, ms. */
  readonly idleMs: number;
  /** For answers under way when the server ends, ms. */
  readonly closeMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  connections: 128,
  headMs: 10_000,
  stallMs: 60_000,
  idleMs: 15_000,
  closeMs: 10_000,
};

export type HttpEvent =
  | { readonly event: 'refused'; readonly reason: string }
  /** A part of a disk that could not be read; its client got an error, or an answer that broke off. */
  | { readonly event: 'failed'; readonly client: number; readonly export: string; readonly error: unknown };

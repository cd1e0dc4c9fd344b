// The only caller of fetch: asks for one range of one object until it is there whole, with a bounded number of
// attempts, each with a limit of silence. What came before a connection broke is kept: the next attempt asks for the
// rest, of the same object.
import { VmdkError } from '../core/errors.ts';
import { pause } from '../core/task.ts';
import {
  assertSameObject,
  judgeAnswer,
  remoteFailed,
  strongTag,
  type AnsweredRange,
  type Passing,
  type RemoteAnswer,
  type RemoteFacts,
} from './remote-answer.ts';
import type { RemoteAddress } from './remote-address.ts';
import type { SignRequest } from './remote-s3.ts';

/** As the global fetch, of which only this is used. */
export type RemoteFetch = (
  url: string,
  init: { headers: Record<string, string>; redirect: 'manual'; signal: AbortSignal },
) => Promise<RemoteAnswer>;

export interface RemoteClientOptions {
  /** The global fetch unless told. */
  fetch: RemoteFetch | undefined;
  /** How often one range is asked for before that is a failure. */
  attempts: number;
  /** Milliseconds in which nothing, or next to nothing, comes before an attempt counts as failed. */
  silence: number;
  /** Milliseconds before the second attempt; doubled for each further one, and never exact. */
  firstPause: number;
  /** Requests that are under way at once; others wait. */
  parallel: number;
  /** Ends whatever is under way, pauses too. */
  signal?: AbortSignal | undefined;
  /** For `s3:` addresses: the URL to ask, and headers to send. */
  sign: SignRequest;
}

export interface RangeRequest {
  readonly address: RemoteAddress;
  readonly start: number;
  /** Not included. Without a pin the object may end before it. */
  readonly end: number;
  /** The object that it must be; undefined for the first request, which finds out. */
  readonly pin: RemoteFacts | undefined;
  readonly signal: AbortSignal;
  /** Takes the bytes in their order. */
  take: (piece: Uint8Array) => void;
}

export interface RemoteClient {
  /** @throws VmdkError; the reason of the request's `signal`, or of the client's, once it is aborted. */
  get(request: RangeRequest): Promise<RemoteFacts>;
  /** Whether a request would begin at once. */
  isIdle(): boolean;
}

const LONGEST_PAUSE = 10_000;
/** Less within the limit of silence is as good as nothing: a server that drips would hold us for days. */
const LEAST_BYTES = 4096;
/** Of the text of an error, and milliseconds that are waited for it. */
const MOST_ERROR_BYTES = 4096;
const MOST_ERROR_MS = 2000;
/** Failures that the next attempt would meet as well. */
const LASTING: ReadonlySet<unknown> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

export function createRemoteClient(options: RemoteClientOptions): RemoteClient {
  let free = options.parallel;
  const waiting: (() => void)[] = [];
  const enter = async (): Promise<void> => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  return {
    async get(request) {
      await enter();
      try {
        const signals = [request.signal, ...(options.signal === undefined ? [] : [options.signal])];
        return await insist(options, { ...request, signal: AbortSignal.any(signals) });
      } finally {
        leave();
      }
    },
    isIdle: () => free > 0,
  };
}

async function insist(options: RemoteClientOptions, request: RangeRequest): Promise<RemoteFacts> {
  let { start, pin } = request;
  const take = (piece: Uint8Array): void => {
    start += piece.length;
    request.take(piece);
  };
  for (let attempt = 1; ; attempt++) {
    request.signal.throwIfAborted();
    const outcome = await attemptOnce(options, { ...request, start, pin, take });
    if (!('passing' in outcome)) return outcome.facts;
    pin ??= outcome.facts;
    if (attempt >= options.attempts) throw givenUp(outcome.passing, attempt);
    const wait = options.firstPause * 2 ** (attempt - 1) * (0.5 + Math.random());
    await pause(Math.min(Math.max(wait, outcome.after ?? 0), LONGEST_PAUSE), request);
  }
}

/** What broke off may have told already which object it is. */
type Outcome = AnsweredRange | (Passing & { readonly facts?: RemoteFacts });

async function attemptOnce(options: RemoteClientOptions, request: RangeRequest): Promise<Outcome> {
  const { address, start, end, pin } = request;
  const { url } = address;
  const watch = watchSilence(options.silence, request.signal);
  let facts: RemoteFacts | undefined;
  try {
    const { wire, headers } = await requestFor(options, address, start, end, pin);
    const ask: RemoteFetch = options.fetch ?? ((at, init) => fetch(at, init));
    const answer = await ask(wire, { headers, redirect: 'manual', signal: watch.signal });
    watch.heard(LEAST_BYTES);
    const judged = await judgeWithReason(answer, { url, start, end }, watch);
    if ('passing' in judged) return judged;
    if (pin !== undefined) assertSameObject(url, pin, judged.facts);
    facts = judged.facts;
    const came = await readBody(answer, judged, request, watch);
    if (came === judged.end) return judged;
    const found = `an answer that ends after ${came - judged.start} of ${judged.end - judged.start} bytes`;
    return { passing: remoteFailed(url, found), after: undefined, facts };
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof VmdkError) throw error;
    if (LASTING.has(codeOf(error))) throw untrusted(url, reasonOf(error), error);
    const found = watch.silence() ?? reasonOf(error);
    const passing = { passing: remoteFailed(url, found, error), after: undefined };
    return facts === undefined ? passing : { ...passing, facts };
  } finally {
    watch.end();
  }
}

async function requestFor(
  { sign }: RemoteClientOptions,
  address: RemoteAddress,
  start: number,
  end: number,
  pin: RemoteFacts | undefined,
): Promise<{ wire: string; headers: Record<string, string> }> {
  const tag = pin === undefined ? undefined : strongTag(pin);
  // With a range, fetch itself asks for the bytes uncompressed; said here as well, it would be said twice.
  const headers = {
    range: `bytes=${start}-${end - 1}`,
    ...(tag === undefined ? {} : { 'if-match': tag }),
  };
  return address.scheme === 's3' ? sign(address, headers) : { wire: address.url, headers };
}

/** Judges, and lets what S3 writes about an error be part of it. */
async function judgeWithReason(
  answer: RemoteAnswer,
  asked: { url: string; start: number; end: number },
  watch: SilenceWatch,
): Promise<AnsweredRange | Passing> {
  try {
    const judged = judgeAnswer(answer, asked);
    if ('passing' in judged) await answer.body?.cancel();
    return judged;
  } catch (error) {
    if (!(error instanceof VmdkError)) throw error;
    const code = answer.status >= 400 ? await s3Code(answer, watch) : undefined;
    if (answer.status < 400) await answer.body?.cancel();
    if (code === undefined) throw error;
    const { kind, code: own, context } = error;
    const what = error.message.slice(`${asked.url}: `.length).split(/: found |\n/)[0]!;
    throw new VmdkError(kind, own, what, { ...context, found: `${context.found} (${code})` }, error);
  }
}

/** `NoSuchKey`, `SignatureDoesNotMatch`, …: the word in an error of S3. */
async function s3Code(answer: RemoteAnswer, watch: SilenceWatch): Promise<string | undefined> {
  const reader = answer.body?.getReader();
  // What was said until then counts.
  const enough = setTimeout(() => void reader?.cancel().catch(() => undefined), MOST_ERROR_MS);
  try {
    let text = '';
    const decoder = new TextDecoder();
    while (reader !== undefined && text.length < MOST_ERROR_BYTES) {
      const { done, value } = await Promise.race([reader.read(), watch.stopped]);
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    return /<Code>([A-Za-z0-9]{1,60})<\/Code>/.exec(text)?.[1];
  } catch {
    return undefined;
  } finally {
    clearTimeout(enough);
    reader?.cancel().catch(() => undefined);
  }
}

/** Hands on what belongs to the range, and gives where it ended. */
async function readBody(
  { body }: RemoteAnswer,
  { start, end }: AnsweredRange,
  { take, address }: RangeRequest,
  watch: SilenceWatch,
): Promise<number> {
  if (body === null) return start;
  const reader = body.getReader();
  let at = start;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), watch.stopped]);
      if (done) return at;
      watch.heard(value.length);
      if (at + value.length > end) {
        throw new VmdkError('io', 'remote-wrong-range', 'the server sent more than it announced', {
          path: address.url,
          offset: end,
          expected: `${end - start} bytes`,
        });
      }
      take(value);
      at += value.length;
    }
  } finally {
    // A body that was not read to its end would keep its connection. Not waited for, since it may never be answered.
    reader.cancel().catch(() => undefined);
  }
}

interface SilenceWatch {
  readonly signal: AbortSignal;
  /** Rejects once aborted. Node 20 and 22 leave a read unanswered when all but the end of a body has come by then. */
  readonly stopped: Promise<never>;
  /** So many bytes came. */
  heard(bytes: number): void;
  /** What there was of it, for people, once it was too long. */
  silence(): string | undefined;
  end(): void;
}

/** Aborts when less than LEAST_BYTES are heard for so long, or when `outer` is aborted. */
function watchSilence(silence: number, outer: AbortSignal): SilenceWatch {
  const controller = new AbortController();
  let silent = false;
  let heard = 0;
  const timer = setTimeout(() => {
    silent = true;
    controller.abort();
  }, silence);
  const stop = (): void => controller.abort(outer.reason);
  outer.addEventListener('abort', stop, { once: true });
  const { signal } = controller;
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  // Most requests come to their end without it.
  stopped.catch(() => undefined);
  return {
    signal,
    stopped,
    heard(bytes) {
      heard += bytes;
      if (heard < LEAST_BYTES) return;
      heard = 0;
      timer.refresh();
    },
    silence() {
      if (!silent) return undefined;
      return `${heard === 0 ? 'no byte' : `only ${heard} bytes`} for ${silence / 1000} s`;
    },
    end() {
      clearTimeout(timer);
      outer.removeEventListener('abort', stop);
    },
  };
}

function givenUp(last: VmdkError, attempts: number): VmdkError {
  const { path, found } = last.context;
  const what = `cannot read over the network, after ${attempts} attempts`;
  const hint = 'Run again later; nothing was changed.';
  return new VmdkError('io', last.code, what, { path: path!, found: found!, hint }, last);
}

function untrusted(url: string, found: string, cause: unknown): VmdkError {
  const context = { path: url, found, hint: 'To trust its authority: NODE_EXTRA_CA_CERTS=FILE, in PEM.' };
  return new VmdkError('io', 'remote-failed', "the server's certificate is not trusted", context, cause);
}

function codeOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}

/** `connect ECONNREFUSED 127.0.0.1:9`: fetch itself only says that it failed. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message !== '' ? cause.message : cause.name;
}

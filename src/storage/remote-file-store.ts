// A file store that reads what the caller allowed over HTTP(S) ranges or from an S3-compatible store, and leaves every
// other name to the store below. Rule: what lies elsewhere is only ever read, each object is pinned while it is used,
// and no URL is asked for that no prefix allows.
import { LruCache } from '../core/lru-cache.ts';
import { VmdkError, isVmdkError } from '../core/errors.ts';
import type { FileStore, RandomAccessFile, ResolvedPath, WritableFile } from './file-store.ts';
import { isUrl } from './place-names.ts';
import { storeFor, type AnyFs } from './promises-file-store.ts';
import { allowedOrigins, remoteReadOnly, type RemoteAddress } from './remote-address.ts';
import { isSameObject, type RemoteFacts } from './remote-answer.ts';
import { BLOCK_BYTES, RemoteBlocks } from './remote-blocks.ts';
import { createRemoteClient, type RemoteClient, type RemoteFetch } from './remote-client.ts';
import { createS3Signer, s3SettingsFrom, type S3Settings } from './remote-s3.ts';
import { assertPosition, fileClosed, fileTooShort } from './store-errors.ts';

export interface RemoteStoreOptions {
  /** What may be read: prefixes of URLs (`https://store.example/golden`, `s3://bucket`), part by part. */
  allowOrigins: readonly string[];
  /** Where all other names lead: the real file system unless told. */
  fs?: AnyFs | undefined;
  /** Endpoint, region and keys; those of the AWS_* variables unless told. */
  s3?: S3Settings | undefined;
  /** Bytes of blocks that are kept, of all objects together; 64 MiB unless told. */
  cacheBytes?: number | undefined;
  /** How often a range is asked for before reading it fails; 5 unless told. */
  attempts?: number | undefined;
  /** Milliseconds without a byte before an attempt has failed; 30,000 unless told. */
  silence?: number | undefined;
  /** Milliseconds before the second attempt, doubled for each further one; 250 unless told. */
  firstPause?: number | undefined;
  /** Requests under way at once; 8 unless told. */
  parallel?: number | undefined;
  /** Ends whatever is asked for, with its reason: also openings, which have no signal of their own. */
  signal?: AbortSignal | undefined;
  /** The global fetch unless told. */
  fetch?: RemoteFetch | undefined;
}

const DEFAULT_CACHE_BYTES = 64 << 20;
/** How long it may be since an object was looked at, or given up, for that to stand without another look, in ms. */
const STILL_TRUE_MS = 2000;
/** Objects that are remembered while nobody has them open. */
const MOST_REMEMBERED = 256;

/**
 * A store that opens URLs, too. Everything that takes an `fs` takes it: `openChain('s3://golden/base.vmdk', 'read',
 * { fs: createRemoteFileStore({ allowOrigins: ['s3://golden'] }) })`.
 *
 * Of a remote file, size and ETag (or Last-Modified) hold for as long as it is open anywhere: a change is
 * `remote-changed`, at once and for all that is read after it. One that could not be opened after all attempts
 * (`remote-failed`) is not asked for again within two seconds. Other errors: `origin-not-allowed`, `url-refused`,
 * `remote-redirect`, `remote-no-ranges`, `remote-not-pinned`, `remote-wrong-range`, `remote-failed`,
 * `remote-read-only`; `file-missing` and `file-not-readable` as of any file.
 * @throws VmdkError `usage` for a prefix that is no URL.
 */
export function createRemoteFileStore(options: RemoteStoreOptions): FileStore {
  const local = storeFor(options.fs);
  const origins = allowedOrigins(options.allowOrigins);
  const objects = new RemoteObjects(options);
  const at = (url: string): RemoteAddress => origins.assertAllowed(url);
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    if (!isUrl(path)) return mode === 'read' ? local.open(path, mode) : local.open(path, mode);
    if (mode === 'update') throw remoteReadOnly(path);
    return objects.open(at(path));
  }
  /** What changes files does so with local ones alone. */
  const locally = <Rest extends readonly unknown[], T>(
    work: (path: string, ...rest: Rest) => Promise<T>,
  ): ((path: string, ...rest: Rest) => Promise<T>) => {
    return async (path, ...rest) => {
      const url = [path, ...rest].find((each) => typeof each === 'string' && isUrl(each));
      if (url !== undefined) throw remoteReadOnly(url as string);
      return work(path, ...rest);
    };
  };
  const changeMode = local.changeMode?.bind(local);
  const freeBytes = local.freeBytes?.bind(local);
  const times = local.times?.bind(local);
  return {
    opensUrls: true,
    open,
    create: locally((path) => local.create(path)),
    replace: locally((path, data: Uint8Array) => local.replace(path, data)),
    rename: locally((from, to: string) => local.rename(from, to)),
    remove: locally((path) => local.remove(path)),
    makeFolder: locally((path) => local.makeFolder(path)),
    removeFolder: locally((path) => local.removeFolder(path)),
    syncFolder: locally((folder) => local.syncFolder(folder)),
    list: async (folder) => {
      if (!isUrl(folder)) return local.list(folder);
      const context = { path: at(folder).url };
      throw new VmdkError(
        'unsupported',
        'not-a-folder',
        'cannot list: there are no folders in a URL',
        context,
      );
    },
    exists: async (path) => {
      if (!isUrl(path)) return local.exists(path);
      try {
        await objects.look(at(path));
        return true;
      } catch (error) {
        if (isVmdkError(error, 'file-missing')) return false;
        throw error;
      }
    },
    resolve: async (path) =>
      isUrl(path) ? placeOf(at(path), await objects.look(at(path))) : local.resolve(path),
    ...(changeMode === undefined
      ? {}
      : { changeMode: locally((path, change: (mode: number) => number) => changeMode(path, change)) }),
    ...(times === undefined ? {} : { times: locally((path) => times(path)) }),
    ...(freeBytes === undefined ? {} : { freeBytes: locally((folder) => freeBytes(folder)) }),
  };
}

/** A remote object, pinned; shared by all that have it open. */
interface KnownObject {
  readonly facts: RemoteFacts;
  readonly blocks: RemoteBlocks;
  /** How many have it open. */
  open: number;
  /** When the server last said that it is this one, in ms since the epoch. */
  seen: number;
}

interface Remembered {
  readonly coming: Promise<KnownObject>;
  /** Once it has come. */
  object: KnownObject | undefined;
}

class RemoteObjects {
  readonly #client: RemoteClient;
  readonly #cache: LruCache<string, Uint8Array>;
  /** By URL; first what was used longest ago. */
  readonly #known = new Map<string, Remembered>();
  /** By URL: what could not be looked at after all attempts. */
  readonly #givenUp = new Map<string, { readonly error: VmdkError; readonly since: number }>();
  #number = 0;

  constructor(options: RemoteStoreOptions) {
    const { s3 } = options;
    this.#client = createRemoteClient({
      fetch: options.fetch,
      attempts: options.attempts ?? 5,
      silence: options.silence ?? 30_000,
      firstPause: options.firstPause ?? 250,
      parallel: options.parallel ?? 8,
      signal: options.signal,
      sign: createS3Signer(() => s3 ?? s3SettingsFrom(process.env)),
    });
    this.#cache = new LruCache(options.cacheBytes ?? DEFAULT_CACHE_BYTES);
  }

  async look(address: RemoteAddress): Promise<RemoteFacts> {
    return (await this.#current(address)).facts;
  }

  async open(address: RemoteAddress): Promise<RandomAccessFile> {
    const object = await this.#current(address);
    object.open++;
    return remoteFile(address, object, () => {
      object.open--;
      if (object.open === 0) object.blocks.stop();
    });
  }

  /** The object as it is pinned while anybody has it open, else as it is now. */
  #current(address: RemoteAddress): Promise<KnownObject> {
    const { url } = address;
    const before = this.#known.get(url)?.coming ?? Promise.resolve(undefined);
    const current = before
      .catch(() => undefined)
      .then((object) => (object !== undefined && holds(object) ? object : this.#look(address, object)));
    const entry: Remembered = { coming: current, object: undefined };
    current.then(
      (object) => (entry.object = object),
      (error: unknown) => this.#forget(url, entry, error),
    );
    this.#known.delete(url);
    this.#known.set(url, entry);
    if (this.#known.size > MOST_REMEMBERED) this.#forgetOldest();
    return current;
  }

  #forget(url: string, entry: Remembered, error: unknown): void {
    if (this.#known.get(url) === entry) this.#known.delete(url);
    if (!isVmdkError(error, 'remote-failed') || this.#lastFailure(url) !== undefined) return;
    if (this.#givenUp.size >= MOST_REMEMBERED) this.#givenUp.clear();
    this.#givenUp.set(url, { error, since: Date.now() });
  }

  /** Whoever looks at a disk several times waits once for a server that does not answer. */
  #lastFailure(url: string): VmdkError | undefined {
    const failure = this.#givenUp.get(url);
    if (failure !== undefined && Date.now() - failure.since < STILL_TRUE_MS) return failure.error;
    this.#givenUp.delete(url);
    return undefined;
  }

  /** Of those that nobody has open: the others are pinned. */
  #forgetOldest(): void {
    for (const [url, { object }] of this.#known) {
      if (object?.open !== 0) continue;
      this.#known.delete(url);
      return;
    }
  }

  /** Asks for the first block, which says all about the object. What is kept of `before` stays if it is still that. */
  async #look(address: RemoteAddress, before: KnownObject | undefined): Promise<KnownObject> {
    if (address.segments.length === 0) {
      throw new VmdkError('missing', 'file-missing', 'names no file', { path: address.url });
    }
    const failure = this.#lastFailure(address.url);
    if (failure !== undefined) throw failure;
    const pieces: Uint8Array[] = [];
    const facts = await this.#client.get({
      address,
      start: 0,
      end: BLOCK_BYTES,
      pin: undefined,
      signal: new AbortController().signal,
      take: (piece) => void pieces.push(piece),
    });
    if (before !== undefined && !before.blocks.hasChanged && isSameObject(before.facts, facts)) {
      before.seen = Date.now();
      return before;
    }
    const blocks = new RemoteBlocks({ address, facts }, this.#client, this.#cache, String(this.#number++));
    if (facts.size > 0) blocks.keepFirst(Buffer.concat(pieces));
    return { facts, blocks, open: 0, seen: Date.now() };
  }
}

function holds({ open, seen, blocks }: KnownObject): boolean {
  return open > 0 || (!blocks.hasChanged && Date.now() - seen < STILL_TRUE_MS);
}

function remoteFile({ url }: RemoteAddress, object: KnownObject, onClose: () => void): RandomAccessFile {
  const { facts, blocks } = object;
  let closed = false;
  const use = (): void => {
    if (closed) throw fileClosed(url);
  };
  return {
    path: url,
    size: async () => {
      use();
      return facts.size;
    },
    readExactly: async (into, at) => {
      use();
      assertPosition(at, into.length);
      const there = Math.max(0, Math.min(into.length, facts.size - at));
      if (there < into.length) throw fileTooShort(url, at, there, into.length);
      if (into.length > 0) await blocks.read(into, at);
    },
    close: async () => {
      if (closed) return;
      closed = true;
      onClose();
    },
  };
}

function placeOf({ url }: RemoteAddress, { size, lastModified, etag }: RemoteFacts): ResolvedPath {
  const modified = lastModified === undefined ? Number.NaN : Date.parse(lastModified);
  return {
    path: url,
    kind: 'file',
    identity: `url:${url}`,
    size,
    allocated: size,
    modified: Number.isNaN(modified) ? 0 : modified,
    ...(etag === undefined ? {} : { version: etag }),
  };
}

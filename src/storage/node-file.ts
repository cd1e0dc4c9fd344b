// An open file over a raw descriptor. The one rule: the descriptor is closed only once no call is under way on it
// and never used after, because the system gives its number to the next file that is opened.
import { DONE } from '../core/settled.ts';
import { fs } from './node-fs.ts';
import type { FileStretch, RandomAccessFile, WritableFile } from './file-store.ts';
import type { Natives } from './natives.ts';
import { nodeCall, syncFd, type LookUps } from './node-calls.ts';
import { QuickCalls } from './node-quick-calls.ts';
import { findStretches } from './node-stretches.ts';
import { assertPosition, fileClosed, fileTooShort, storeError } from './store-errors.ts';

export interface NodeFileOptions {
  /**
   * `sync` blocks for the few microseconds of a cached read or write; `callback` keeps many in flight; `adaptive` blocks
   * while they are fast and not large, see node-quick-calls.
   */
  readonly reads: 'adaptive' | 'callback' | 'sync';
  readonly lookUps: LookUps;
  readonly natives: () => Promise<Natives | undefined>;
}

/** Node passes lengths to the system as 32-bit integers. */
const MAX_CALL_BYTES = 2 ** 30;

/** A file without any way to write. Takes over `fd`. */
export function nodeReadFile(fd: number, path: string, options: NodeFileOptions): RandomAccessFile {
  return readingHalf(new Descriptor(fd, path, options.lookUps), options);
}

/** Takes over `fd`, which must be open for reading and writing. */
export function nodeWritableFile(fd: number, path: string, options: NodeFileOptions): WritableFile {
  const file = new Descriptor(fd, path, options.lookUps);
  return {
    ...readingHalf(file, options),
    write: chosen(options.reads, {
      sync: (data, at) => writeSync(file, data, at),
      callback: (data, at) => write(file, data, at),
    }),
    resize: async (size) => {
      assertPosition(size, 0);
      await file.use((open) => nodeCall('resize', path, (done) => fs.ftruncate(open, size, done)));
    },
    punchHole: (start, length) => {
      assertPosition(start, length);
      return file.use(async (open) => (await options.natives())?.punchHole(open, start, length) ?? false);
    },
    sync: () => file.use((open) => syncFd(path, open)),
  };
}

/** A descriptor with the count of the calls under way on it. */
class Descriptor {
  readonly path: string;
  readonly #fd: number;
  readonly #lookUps: LookUps;
  #underWay = 0;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(fd: number, path: string, lookUps: LookUps) {
    this.#fd = fd;
    this.#lookUps = lookUps;
    this.path = path;
  }

  /** The descriptor's number; each `begin` is followed by one `end`. @throws TypeError once closed. */
  begin(): number {
    if (this.#closing !== undefined) throw fileClosed(this.path);
    this.#underWay++;
    return this.#fd;
  }

  end(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
  }

  async use<T>(work: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.begin();
    try {
      return await work(fd);
    } finally {
      this.end();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeWhenIdle();
    return this.#closing;
  }

  async #closeWhenIdle(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#lookUps.close(this.path, this.#fd);
  }
}

function readingHalf(file: Descriptor, options: NodeFileOptions): RandomAccessFile {
  const { path } = file;
  return {
    path,
    size: () => file.use(async (fd) => Number((await options.lookUps.statOpen('look up', path, fd)).size)),
    readExactly: chosen(options.reads, {
      sync: (into, at) => readSync(file, into, at),
      callback: (into, at) => read(file, into, at),
    }),
    stretches: async (start, length): Promise<readonly FileStretch[] | undefined> => {
      assertPosition(start, length);
      return file.use(async (fd) => {
        const natives = await options.natives();
        return natives === undefined ? undefined : findStretches(natives, fd, start, length);
      });
    },
    lockBytes: (held, contested) =>
      file.use(async (fd) => {
        const natives = await options.natives();
        if (natives === undefined || !held.every((at) => natives.lockByte(fd, at))) return undefined;
        return contested.some((at) => natives.isByteLocked(fd, at) !== false) ? 'contested' : 'held';
      }),
    close: () => file.close(),
  };
}

type Transfer = (bytes: Uint8Array, at: number) => Promise<void>;

/** Reads or writes in the way that was asked for. */
function chosen(how: NodeFileOptions['reads'], ways: { sync: Transfer; callback: Transfer }): Transfer {
  if (how !== 'adaptive') return ways[how];
  const quick = new QuickCalls();
  return (bytes, at) => {
    if (!quick.blocks(bytes.length)) return ways.callback(bytes, at);
    const began = performance.now();
    const outcome = ways.sync(bytes, at);
    return outcome === DONE ? quick.done(began, bytes.length) : outcome;
  };
}

/** One Promise and usually one call: what many small reads in flight cost is decided here. */
function read(file: Descriptor, into: Uint8Array, at: number): Promise<void> {
  return new Promise((resolve, reject) => {
    assertPosition(at, into.length);
    const fd = file.begin();
    let filled = 0;
    const next = (): void => {
      const length = Math.min(into.length - filled, MAX_CALL_BYTES);
      fs.read(fd, into, filled, length, at + filled, done);
    };
    const done = (error: Error | null, count: number): void => {
      filled += count;
      if (error === null && count > 0 && filled < into.length) return next();
      file.end();
      if (error !== null) reject(storeError(error, 'read', file.path, at + filled));
      else if (filled < into.length) reject(fileTooShort(file.path, at, filled, into.length));
      else resolve();
    };
    start(file, next);
  });
}

function readSync(file: Descriptor, into: Uint8Array, at: number): Promise<void> {
  let filled = 0;
  try {
    assertPosition(at, into.length);
    const fd = file.begin();
    try {
      while (filled < into.length) {
        const count = fs.readSync(
          fd,
          into,
          filled,
          Math.min(into.length - filled, MAX_CALL_BYTES),
          at + filled,
        );
        if (count === 0) return Promise.reject(fileTooShort(file.path, at, filled, into.length));
        filled += count;
      }
    } finally {
      file.end();
    }
    return DONE;
  } catch (error) {
    return rejected(storeError(error, 'read', file.path, filled === 0 ? at : at + filled));
  }
}

function write(file: Descriptor, data: Uint8Array, at: number): Promise<void> {
  return new Promise((resolve, reject) => {
    assertPosition(at, data.length);
    const fd = file.begin();
    let written = 0;
    const next = (): void => {
      const length = Math.min(data.length - written, MAX_CALL_BYTES);
      fs.write(fd, data, written, length, at + written, done);
    };
    const done = (error: Error | null, count: number): void => {
      written += count;
      if (error === null && written < data.length) return next();
      file.end();
      if (error === null) resolve();
      else reject(storeError(error, 'write', file.path, at + written));
    };
    start(file, next);
  });
}

function writeSync(file: Descriptor, data: Uint8Array, at: number): Promise<void> {
  let written = 0;
  try {
    assertPosition(at, data.length);
    const fd = file.begin();
    try {
      while (written < data.length) {
        const length = Math.min(data.length - written, MAX_CALL_BYTES);
        written += fs.writeSync(fd, data, written, length, at + written);
      }
    } finally {
      file.end();
    }
    return DONE;
  } catch (error) {
    return rejected(storeError(error, 'write', file.path, written === 0 ? at : at + written));
  }
}

/** Makes the first call; arguments that Node itself refuses must not leave the descriptor busy for ever. */
function start(file: Descriptor, call: () => void): void {
  try {
    call();
  } catch (error) {
    file.end();
    throw error;
  }
}

function rejected(error: unknown): Promise<never> {
  return new Promise((_, reject) => reject(error));
}

// The Linux calls that Node does not have, through the optional package koffi: where a file has holes, punching them,
// and locks that belong to an opening of a file (OFD). Everything works without: no Linux, no koffi or a koffi that fails all mean `undefined`, silently.
import { constants } from 'node:os';

export interface Natives {
  /** First byte at or after `at` that holds data; undefined when only a hole follows. Moves the descriptor's offset. */
  seekData(fd: number, at: number): number | undefined;
  /** First byte at or after `at` that lies in a hole; the end of the file counts as one. */
  seekHole(fd: number, at: number): number | undefined;
  /** Gives the range back to the file system, length of the file unchanged; false where it cannot. */
  punchHole(fd: number, start: number, length: number): boolean;
  /** Takes a shared lock on one byte, for as long as this opening of the file lives; false where it cannot. */
  lockByte(fd: number, at: number): boolean;
  /** Whether another opening of the file has any lock on this byte; undefined where it cannot be told. */
  isByteLocked(fd: number, at: number): boolean | undefined;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const PUNCH_HOLE = 0x02;
const KEEP_SIZE = 0x01;
/** Linux's fcntl commands for locks of an opening, and types of locks (asm-generic/fcntl.h). */
const OFD_GETLK = 36;
const OFD_SETLK = 37;
const [READ_LOCK, WRITE_LOCK, NO_LOCK] = [0, 1, 2];
const ARCHITECTURES = new Set(['x64', 'arm64', 'riscv64', 'loong64', 'ppc64', 's390x']);

/** Loads koffi, once per call: keep the promise. Never rejects. */
export async function loadNatives(): Promise<Natives | undefined> {
  // Elsewhere off_t or the constants differ, and a wrong guess would corrupt.
  if (process.platform !== 'linux' || !ARCHITECTURES.has(process.arch)) return undefined;
  try {
    const { default: koffi } = await import('koffi');
    const libc = koffi.load(null);
    const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)');
    const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
    const fcntl = libc.func('int fcntl(int fd, int command, ...)');
    const lockType = koffi.struct({
      l_type: 'int16_t',
      l_whence: 'int16_t',
      l_start: 'int64_t',
      l_len: 'int64_t',
      l_pid: 'int32_t',
    });
    const lockPointer = koffi.inout(koffi.pointer(lockType));
    const byteLock = (type: number, at: number) => ({
      l_type: type,
      l_whence: 0,
      l_start: at,
      l_len: 1,
      l_pid: 0,
    });
    const seek = (fd: number, at: number, whence: number): number | undefined => {
      const found = Number(lseek(fd, at, whence));
      if (found >= 0) return found;
      if (koffi.errno() === constants.errno.ENXIO) return undefined;
      throw new Error(`lseek failed with errno ${koffi.errno()}`);
    };
    return {
      seekData: (fd, at) => seek(fd, at, SEEK_DATA),
      seekHole: (fd, at) => seek(fd, at, SEEK_HOLE),
      punchHole: (fd, start, length) => fallocate(fd, PUNCH_HOLE | KEEP_SIZE, start, length) === 0,
      lockByte: (fd, at) => fcntl(fd, OFD_SETLK, lockPointer, byteLock(READ_LOCK, at)) === 0,
      isByteLocked: (fd, at) => {
        const lock = byteLock(WRITE_LOCK, at);
        return fcntl(fd, OFD_GETLK, lockPointer, lock) === 0 ? lock.l_type !== NO_LOCK : undefined;
      },
    };
  } catch {
    return undefined;
  }
}

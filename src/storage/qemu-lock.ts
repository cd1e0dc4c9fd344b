// QEMU's locks on an open disk, read from the kernel's table: byte 100+n is locked while permission n is in use,
// byte 200+n while its holder does not share it (block/file-posix.c). Linux joins ranges that touch.

/** QEMU's permissions by bit (block/block-common.h). */
const PERMISSIONS = ['consistent read', 'write', 'write unchanged', 'resize', 'graph change'];
const IN_USE = 100;
const UNSHARED = 200;
/** Permissions that change the file or its length. */
const WRITING: readonly number[] = [1, 2, 3];

const LINE =
  /^\d+: (?:OFDLCK|POSIX) +\S+ +(?:READ|WRITE|RW) +(?:-?\d+|<none>) +([0-9a-f]+:[0-9a-f]+:\d+) +(\d+) +(\d+|EOF)\s*$/;

/** The bytes that QEMU locks while it uses a file so, and those that nobody else may have locked then. */
export interface QemuUse {
  readonly held: readonly number[];
  readonly contested: readonly number[];
}

/** Who writes reads, writes and resizes, and lets others do neither of the last two; who reads only reads. */
export function qemuUse(mode: 'exclusive' | 'shared'): QemuUse {
  const inUse = mode === 'exclusive' ? [0, 1, 3] : [0];
  const unshared = [1, 3];
  return {
    held: [...inUse.map((bit) => IN_USE + bit), ...unshared.map((bit) => UNSHARED + bit)],
    contested: [...inUse.map((bit) => UNSHARED + bit), ...unshared.map((bit) => IN_USE + bit)],
  };
}

/** `dev:inode` of stat. */
const LOCAL = /^(\d+):(\d+)$/;

export interface QemuLock {
  /** `major:minor:inode` as the table has it. */
  readonly device: string;
  readonly writing: boolean;
  readonly detail: string;
}

/** QEMU's locks on the file of `identity` (`dev:inode`, decimal); undefined when there are none. */
export function findQemuLock(table: string, identity: string): QemuLock | undefined {
  const device = tableDevice(identity);
  if (device === undefined) return undefined;
  const ranges = table.split('\n').flatMap((line) => {
    const [, where, first, last] = LINE.exec(line) ?? [];
    if (where !== device) return [];
    const range = { first: Number(first), last: last === 'EOF' ? Infinity : Number(last) };
    // Others lock whole files; QEMU only these bytes.
    return range.first >= IN_USE && range.last < UNSHARED + 64 ? [range] : [];
  });
  if (ranges.length === 0) return undefined;
  const locked = (byte: number): boolean => ranges.some(({ first, last }) => first <= byte && byte <= last);
  const named = (base: number): string =>
    PERMISSIONS.filter((_, bit) => locked(base + bit)).join(', ') || 'nothing';
  return {
    device,
    writing: WRITING.some((bit) => locked(IN_USE + bit)),
    detail: `in use: ${named(IN_USE)}; not shared: ${named(UNSHARED)}`,
  };
}

/** Whether it is a file of this machine, which the kernel can lock. */
export function isInTable(identity: string): boolean {
  return LOCAL.test(identity);
}

/** `dev:inode` of stat as `major:minor:inode` of the table, device numbers in hexadecimal. */
function tableDevice(identity: string): string | undefined {
  const [, dev = '', inode = ''] = LOCAL.exec(identity) ?? [];
  if (inode === '') return undefined;
  const number = BigInt(dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  const hex = (part: bigint): string => part.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}:${inode}`;
}

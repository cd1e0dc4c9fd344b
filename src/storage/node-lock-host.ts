// What this machine knows about locks and who holds them: processes and the kernel's table of file locks. Reads
// /proc only, and sends no signal but the empty one; whatever cannot be told is undefined, never an error.
import { fs } from './node-fs.ts';
import { hostname } from 'node:os';

export interface LockHost {
  /** What vmdkit calls this machine in locks of its own; VMware's own id of it is not known to us. */
  readonly id?: string | undefined;
  /** Who takes locks here: this process unless given. */
  readonly pid?: number | undefined;
  /** Whether a process runs and, where known, when it began, in clock ticks since the machine's start. */
  process(pid: number): { alive: boolean; started?: number | undefined };
  /** The kernel's table of file locks as Linux prints it, where there is one. */
  lockTable(): string | undefined;
  /** Name and pid of a process that locks the file with this `major:minor:inode` of the table. */
  holder(device: string): string | undefined;
}

/** This machine, as far as this process may see: in a container, processes outside it count as gone. */
export function createNodeLockHost(): LockHost {
  let id: string | undefined;
  return {
    get id() {
      return (id ??= `vmdkit=${thisMachine().slice(0, 16)}`);
    },
    process: processOf,
    lockTable: () => textOf('/proc/locks'),
    holder: (device) => {
      for (const pid of namesIn('/proc')) {
        if (/^\d+$/.test(pid) && locks(pid, ` ${device} `)) {
          return `${textOf(`/proc/${pid}/comm`)?.trim() ?? 'a process'} (pid ${pid})`;
        }
      }
      return undefined;
    },
  };
}

/**
 * A name of the place in which process numbers mean what they mean here, in hex: the same after a restart, another on every
 * other machine and in every container. Two machines with one host name share many a datastore.
 */
export function thisMachine(): string {
  const parts = [hostname(), textOf('/etc/machine-id') ?? '', linkOf('/proc/self/ns/pid') ?? ''];
  // Loaded when a lock is met: half of the time a short command takes would go into loading it.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/** One that has ended and waits for its parent to ask counts as gone. */
function processOf(pid: number): { alive: boolean; started?: number | undefined } {
  if (!isAlive(pid)) return { alive: false };
  const [state, ...fields] = statOf(pid) ?? [];
  if (state === 'Z' || state === 'X') return { alive: false };
  const started = Number(fields[18]);
  return { alive: true, started: Number.isSafeInteger(started) ? started : undefined };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, but somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** The fields of /proc/PID/stat from the third on, the state; the name before it may hold blanks and brackets. */
function statOf(pid: number): string[] | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function locks(pid: string, device: string): boolean {
  const folder = `/proc/${pid}/fdinfo`;
  return namesIn(folder).some((fd) => textOf(`${folder}/${fd}`)?.includes(device) ?? false);
}

function textOf(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return fs.readlinkSync(path);
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

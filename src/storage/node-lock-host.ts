// What this machine knows about locks and who holds them: processes and the kernel's table of file locks. Reads
// /proc only, and sends no signal but the empty one; whatever cannot be told is undefined, never an error.
import { fs } from './node-fs.ts';
import { hostname } from 'node:os';

export interface LockHost {
  /** What vmdkit calls this machine in locks of its own; VMware's own id of it is not known to us. */
  readonly id?: string | undefined;
  /** Whether a process runs and, where known, when it began, in clock ticks since the machine's start. */
  process(pid: number): { alive: boolean; started?: number | undefined };
  /** The kernel's table of file locks as Linux prints it, where there is one. */
  lockTable(): string | undefined;
  /** Name and pid of a process that locks the file with this `major:minor:inode` of the table. */
  holder(device: string): string | undefined;
}

/** This machine, as far as this process may see: in a container, processes outside it count as gone. */
export function createNodeLockHost(): LockHost {
  return {
    get id() {
      // Loaded when a lock is met: half of the time a short command takes would go into loading it.
      const { createHash } = process.getBuiltinModule('node:crypto');
      return `vmdkit=${createHash('sha256').update(hostname()).digest('hex').slice(0, 16)}`;
    },
    process: (pid) => (isAlive(pid) ? { alive: true, started: startOf(pid) } : { alive: false }),
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

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, but somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Field 22 of /proc/PID/stat; the name before it may hold blanks and brackets. */
function startOf(pid: number): number | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  const started = Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  return Number.isSafeInteger(started) ? started : undefined;
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

function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

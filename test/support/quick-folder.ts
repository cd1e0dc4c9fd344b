// Where tests put real files of which the contents are looked at, not what a file system makes of them: in memory where
// there is room, since to wait for a disk at every sync would be a part of their time. Rule: what is about blocks, holes,
// modes or a power cut stays on the disk (`temporaryFolder` in command.ts).
import { accessSync, constants, realpathSync, statfsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';

/** Linux has it everywhere; containers make it small now and then. */
const IN_MEMORY = '/dev/shm';
const TMPFS = 0x01021994;
/** Bytes. All tests that run at once take a tenth of it. */
const ROOM = 4 * 2 ** 30;

/** The folder in memory, or that of all temporary files where TMPDIR names one, or where memory is short. */
export const quickRoot: string =
  process.env['TMPDIR'] === undefined && hasRoom() ? realpathSync(IN_MEMORY) : tmpdir();

/** A folder of one's own, and how to remove it. */
export async function quickFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(quickRoot, 'vmdkit-quick-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

function hasRoom(): boolean {
  try {
    accessSync(IN_MEMORY, constants.W_OK);
    const { type, bavail, bsize } = statfsSync(IN_MEMORY);
    return type === TMPFS && bavail * bsize >= ROOM && freemem() >= ROOM;
  } catch {
    return false;
  }
}

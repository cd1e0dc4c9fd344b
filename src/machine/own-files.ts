// Which files of a folder go with a machine besides its disks: by the names that VMware gives them. Rule: what another
// machine of the folder names, what has an unexpected kind of name and what is reached through a link stays.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { MAX_DICTIONARY_BYTES, parseDictionary } from '../format/dictionary.ts';
import { readWhole } from '../operations/tidy.ts';
import type { FileStore } from '../storage/file-store.ts';
import { isMachinePath, type Machine } from './machine.ts';
import { REGISTER_NAME } from './sharers-register.ts';

/** A file or folder somewhere below a machine's folder. */
export interface FoundFile {
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  /** Bytes that it occupies. */
  readonly allocated: number;
}

/** More is no folder of one machine. */
const MOST_FOUND = 100_000;

/** Everything below a folder, folders after what is in them. Undefined when there is too much. */
export async function filesBelow(store: FileStore, folder: string): Promise<FoundFile[] | undefined> {
  const found: FoundFile[] = [];
  const look = async (at: string): Promise<boolean> => {
    for (const name of (await store.list(at)).sort()) {
      if (found.length >= MOST_FOUND) return false;
      const path = posix.join(at, name);
      const file = await lookAt(store, path);
      if (file === undefined) continue;
      if (file.kind === 'folder' && !(await look(path))) return false;
      found.push(file);
    }
    return true;
  };
  return (await look(folder)) ? found : undefined;
}

/** Paths of the machine's own files that are no disks; all of them lie directly in its folder. */
export async function companionFiles(
  store: FileStore,
  machine: Machine,
  found: readonly FoundFile[],
  removed: ReadonlySet<string>,
): Promise<string[]> {
  const { folder } = machine;
  const here = found.filter(({ path, kind }) => kind === 'file' && posix.dirname(path) === folder);
  const others = here.filter(
    ({ path }) => isMachinePath(path) && path !== machine.path && !removed.has(path),
  );
  const claimed = new Set<string>();
  for (const { path } of others) for (const name of await namesClaimed(store, path)) claimed.add(name);
  const isOwn = ownNames(machine, others.length === 0);
  return here
    .map(({ path }) => path)
    .filter(
      (path) => path === machine.path || (isOwn(path) && !claimed.has(posix.basename(path).toLowerCase())),
    );
}

function ownNames(machine: Machine, alone: boolean): (path: string) => boolean {
  const { config, snapshots, vmsdPath, vmxfPath, nvramPath } = machine;
  const stem = posix.basename(machine.path).replace(/\.[^.]*$/, '');
  const exact = new Set<string>([vmsdPath, `${machine.path}~`]);
  if (vmxfPath !== undefined && /\.vmxf$/i.test(vmxfPath)) exact.add(vmxfPath);
  if (nvramPath !== undefined && /\.nvram$/i.test(nvramPath)) exact.add(nvramPath);
  for (const name of [config.suspendFile, ...snapshots.snapshots.map(({ vmsn }) => vmsn)]) {
    if (name === undefined || !/\.(?:vmss|vmsn)$/i.test(name) || /[/\\]/.test(name)) continue;
    exact.add(posix.join(machine.folder, name));
    exact.add(posix.join(machine.folder, name.replace(/\.[^.]*$/, '.vmem')));
  }
  return (path) => {
    const name = posix.basename(path);
    if (exact.has(path)) return true;
    if (alone && (/^vmware(?:-\d+)?\.log$/.test(name) || name === REGISTER_NAME)) return true;
    // stem-1a2b3c4d.vswp, vmx-stem-123-1.vswp and the like.
    const rest = name.startsWith(`vmx-${stem}-`)
      ? name.slice(4 + stem.length)
      : name.startsWith(stem)
        ? name.slice(stem.length)
        : '';
    return /^(?:-[0-9a-f]+){0,2}\.(?:vswp|hlog)$/.test(rest);
  };
}

/** What another machine names, in lower case without folders, and what is called like it. */
async function namesClaimed(store: FileStore, vmxPath: string): Promise<string[]> {
  const stem = posix
    .basename(vmxPath)
    .replace(/\.[^.]*$/, '')
    .toLowerCase();
  const called = ['nvram', 'vmsd', 'vmxf'].map((extension) => `${stem}.${extension}`);
  try {
    if ((await store.resolve(vmxPath)).size > MAX_DICTIONARY_BYTES) return called;
    const { entries } = parseDictionary(await readWhole(store, vmxPath), vmxPath);
    return [
      ...called,
      ...entries.map(({ value }) => posix.basename(value.replaceAll('\\', '/')).toLowerCase()),
    ];
  } catch (error) {
    if (isVmdkError(error)) return called;
    throw error;
  }
}

async function lookAt(store: FileStore, path: string): Promise<FoundFile | undefined> {
  try {
    const place = await store.resolve(path);
    if (place.path !== path) return { path, kind: 'link', allocated: 0 };
    const kind = place.kind === 'file' || place.kind === 'folder' ? place.kind : 'other';
    return { path, kind, allocated: place.allocated };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    // It is in the list: a link that leads nowhere, or nothing for us to read.
    return { path, kind: 'link', allocated: 0 };
  }
}

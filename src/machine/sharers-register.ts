// The sidecar register of a folder: which disks stand on the disks in it, as far as they were made or found by us. Rule:
// it only says where to look; anybody may have written it, and without it a scan finds the same.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';

export const REGISTER_NAME = '.vmdkit-sharers.json';
const SCHEMA = 'vmdkit-sharers/v1';
const NOTE =
  'Which disks stand on the disks of this folder. Safe to delete: vmdkit scan --rebuild-register writes it again.';
const MOST_BYTES = 16 << 20;
const MOST_ENTRIES = 100_000;
const MOST_PATH = 4096;

/** Names of disks in the folder, each with the paths of the disks that stand on it: absolute, in order. */
export type Register = ReadonlyMap<string, readonly string[]>;

export interface ReadRegister {
  readonly register: Register;
  /** Why it was not believed, or not all of it. */
  readonly problem?: string;
  /** False when it must be left as it is: no file of ours, or one of a later version. */
  readonly writable: boolean;
}

const NOTHING: Register = new Map();

/** Reads the register of a folder (real path); what is wrong with it is told, never thrown. */
export async function readRegister(store: FileStore, folder: string): Promise<ReadRegister> {
  const path = posix.join(folder, REGISTER_NAME);
  try {
    const place = await store.resolve(path);
    if (place.path !== path || place.kind !== 'file') {
      return { register: NOTHING, problem: 'it is no plain file', writable: false };
    }
    if (place.size > MOST_BYTES) return { register: NOTHING, problem: 'it is too large', writable: true };
    const file = await store.open(path, 'read');
    try {
      const bytes = Buffer.alloc(Math.min(await file.size(), MOST_BYTES));
      await file.readExactly(bytes, 0);
      return parseRegister(bytes.toString(), folder);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    if (error.code === 'file-missing') return { register: NOTHING, writable: true };
    return { register: NOTHING, problem: error.message.split('\n')[0]!, writable: false };
  }
}

/** `folder` is what relative paths are relative to. */
export function parseRegister(text: string, folder: string): ReadRegister {
  const value = jsonOrUndefined(text);
  if (!isRecord(value)) return { register: NOTHING, problem: 'it is no JSON object', writable: true };
  const { schema, disks } = value;
  if (schema !== SCHEMA || !isRecord(disks)) {
    const later = typeof schema === 'string' && schema.startsWith('vmdkit-sharers/') && schema !== SCHEMA;
    return { register: NOTHING, problem: `it is no ${SCHEMA}`, writable: !later };
  }
  const register = new Map<string, string[]>();
  let entries = 0;
  let odd = 0;
  for (const [name, paths] of Object.entries(disks)) {
    if (!isName(name) || !Array.isArray(paths)) {
      odd++;
      continue;
    }
    const kept = new Set<string>();
    for (const path of paths as unknown[]) {
      if (++entries > MOST_ENTRIES || !isPath(path)) odd++;
      else kept.add(posix.resolve(folder, path));
    }
    register.set(name, [...kept]);
  }
  const problem = odd === 0 ? {} : { problem: `${odd} of its entries are no paths, or too many` };
  return { register, ...problem, writable: true };
}

/** Disks beside or near the folder are named relative to it, so that a moved datastore keeps its register. */
export function printRegister(register: Register, folder: string): string {
  const holder = posix.dirname(folder);
  const disks = Object.fromEntries(
    [...register]
      .filter(([, paths]) => paths.length > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, paths]) => {
        const written = paths.map((path) => {
          return holder !== '/' && path.startsWith(`${holder}/`) ? posix.relative(folder, path) : path;
        });
        return [name, written.sort()];
      }),
  );
  return `${JSON.stringify({ schema: SCHEMA, note: NOTE, disks }, null, 1)}\n`;
}

/** Puts the register in place; an empty one is removed. @throws VmdkError when the folder cannot be written. */
export async function writeRegister(store: FileStore, folder: string, register: Register): Promise<void> {
  const path = posix.join(folder, REGISTER_NAME);
  if ([...register.values()].some((paths) => paths.length > 0)) {
    await store.replace(path, Buffer.from(printRegister(register, folder)));
  } else if (await store.exists(path)) await store.remove(path);
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && name.length <= 255;
}

function isPath(path: unknown): path is string {
  return typeof path === 'string' && path !== '' && path.length <= MOST_PATH && !path.includes('\0');
}

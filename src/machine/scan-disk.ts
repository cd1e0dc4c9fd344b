// What a scan keeps of one disk: read once, a few hundred bytes of facts, the file closed again. Rule: a descriptor may
// say what it likes; only what the path guard lets through is looked at, and how much is bounded.
import { posix } from 'node:path';
import { mergedFrom } from '../chain/half-merged.ts';
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { extentPath } from '../disk/open-extents.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { explainUnreadable } from '../format/create-types.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { createTypeOf, type Descriptor } from '../format/descriptor.ts';
import { showText } from '../format/plain-text.ts';
import type { ResolvedPath } from '../storage/file-store.ts';

export interface DiskFile {
  readonly path: string;
  readonly identity: string;
  /** Bytes. */
  readonly allocated: number;
}

export interface DiskFacts {
  readonly path: string;
  readonly identity: string;
  readonly createType: string;
  readonly cid: number | undefined;
  readonly parentCid: number | undefined;
  readonly delta: boolean;
  readonly hint?: string;
  /** Path of the disk that was being merged into this one where it stands, when that was stopped; as its mark names it. */
  readonly merging?: string;
  /** In sectors. */
  readonly capacity: number;
  readonly files: readonly DiskFile[];
  readonly problems: readonly Finding[];
}

/** How the disks of one scan are read. */
export interface DiskReader {
  /** Its guard judges what extents a descriptor leads to. */
  readonly context: OpenContext;
  /** Bytes of overlong descriptors that may still be read. */
  longBytes: number;
  /** Extents that may still be looked for. */
  lookUps: number;
}

/** A disk of 2 TiB in extents of 2 GB has 1024; more than this is no disk anybody made. */
const MOST_EXTENTS = 4096;
/** Overlong descriptors that one scan reads in full: enough for honest ones, no gift to hostile ones. */
const LONG_BYTES = 64 << 20;
/** Ten thousand disks of 50 extents each. */
const MOST_LOOK_UPS = 500_000;
const MOST_PROBLEMS = 8;

export function diskReader(context: OpenContext): DiskReader {
  return { context, longBytes: LONG_BYTES, lookUps: MOST_LOOK_UPS };
}

/** @throws VmdkError when the file is no disk, or cannot be read. */
export async function readDiskFacts(reader: DiskReader, place: ResolvedPath): Promise<DiskFacts> {
  const descriptor = await descriptorAt(reader, place);
  const problems: Finding[] = [];
  const note = (code: string, severity: Finding['severity'], message: string): void => {
    if (problems.length < MOST_PROBLEMS)
      problems.push({ code, severity, message, path: place.path, repairable: false });
  };
  for (const { code, severity, message, line } of descriptor.problems) {
    if (severity === 'error')
      note(code.toUpperCase(), severity, line === undefined ? message : `${message} (line ${line})`);
  }
  const unreadable = explainUnreadable(descriptor);
  if (unreadable !== undefined) note(unreadable.code.toUpperCase(), 'warning', unreadable.message);
  // What explains the whole disk explains its extents.
  const files = await filesOf(reader, place, descriptor, unreadable === undefined ? note : () => undefined);
  const { cid, parentCid, parentFileNameHint: hint } = descriptor;
  const merging = mergedFrom({ path: place.path, descriptor });
  return {
    path: place.path,
    identity: place.identity,
    createType: createTypeOf(descriptor.createType ?? '') ?? 'custom',
    cid,
    parentCid,
    delta: parentCid !== undefined && parentCid !== NO_PARENT_CID,
    // Copied: a slice would keep the whole text in memory.
    ...(hint === undefined ? {} : { hint: Buffer.from(hint).toString() }),
    ...(merging === undefined ? {} : { merging }),
    capacity: descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0),
    files,
    problems,
  };
}

async function descriptorAt(reader: DiskReader, place: ResolvedPath): Promise<Descriptor> {
  const file = await reader.context.store.open(place.path, 'read');
  try {
    try {
      return (await readDescriptor(reader.context, file, { glance: true })).descriptor;
    } catch (error) {
      // A glance leaves long texts alone; a scan may read some, since honest disks of many extents have them.
      if (!isVmdkError(error, 'descriptor-too-large')) throw error;
      const cost = Math.min(place.size, 1 << 20);
      if (reader.longBytes < cost) throw error;
      reader.longBytes -= cost;
      return (await readDescriptor(reader.context, file)).descriptor;
    }
  } finally {
    await file.close();
  }
}

type Note = (code: string, severity: Finding['severity'], message: string) => void;

/** The files of the disk that are there, each once. */
async function filesOf(
  reader: DiskReader,
  place: ResolvedPath,
  descriptor: Descriptor,
  note: Note,
): Promise<DiskFile[]> {
  const files = new Map<string, DiskFile>([[place.identity, fileOf(place)]]);
  const lines = new Map(
    descriptor.extents
      .filter(({ fileName, access }) => fileName !== undefined && access !== 'NOACCESS')
      .map((line) => [line.fileName!, line]),
  );
  const { context } = reader;
  const most = Math.min(MOST_EXTENTS, reader.lookUps);
  reader.lookUps -= Math.min(lines.size, most);
  if (lines.size > most)
    note('SCAN-EXTENTS', 'warning', `${lines.size} extents: only the first ${most} are looked for`);
  const own = posix.basename(place.path);
  for (const [name, line] of [...lines].slice(0, most)) {
    if (name === own) continue;
    try {
      const found = await context.store.resolve(await extentPath(context, descriptor, line));
      files.set(found.identity, fileOf(found));
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      const missing = error.code === 'extent-missing' || error.code === 'file-missing';
      const message = missing ? 'is missing' : withoutPath(error, place.path);
      const code = missing ? 'EXT-MISSING' : error.code.toUpperCase();
      note(code, 'error', `extent "${showText(name)}": ${message}`);
    }
  }
  const tracking = await trackingFile(context, place, descriptor);
  if (tracking !== undefined) files.set(tracking.identity, fileOf(tracking));
  return [...files.values()];
}

/** Its change tracking file, when it has the name of its own: a descriptor may name any file. */
async function trackingFile(
  { guard }: OpenContext,
  place: ResolvedPath,
  { changeTrackPath = '' }: Descriptor,
): Promise<ResolvedPath | undefined> {
  const own = posix.basename(place.path).replace(/\.vmdk$/i, '-ctk.vmdk');
  if (posix.basename(changeTrackPath.replaceAll('\\', '/')) !== own) return undefined;
  try {
    return await guard.assertExtentAllowed(posix.join(posix.dirname(place.path), own), place.path);
  } catch (error) {
    // That it is missing is told by check; here it only has no bytes.
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

function fileOf({ path, identity, allocated }: ResolvedPath): DiskFile {
  return { path, identity, allocated };
}

/** The first line of an error, without the path that stands beside it anyway. */
export function withoutPath(error: VmdkError, path: string): string {
  return error.message.replace(`${path}: `, '').split('\n')[0]!;
}

// What one disk is, as plain data: what its descriptor says, which of its files are there, and why it cannot be read
// when it cannot. Rule: a disk that cannot be read is described all the same; only what is no disk throws.
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { findingsOf, openDiskIn } from '../disk/open-disk.ts';
import { extentPath } from '../disk/open-extents.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor, type FoundDescriptor } from '../disk/read-descriptor.ts';
import type { Extent } from '../extent/extent.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { explainUnreadable } from '../format/create-types.ts';
import { createTypeOf, type Descriptor, type ExtentLine } from '../format/descriptor.ts';
import { lineageOf, type Lineage } from '../format/lineage.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { dirname, isAbsolute, join } from '../storage/place-names.ts';

/** One extent. Sizes and offsets in bytes. The first five keys are those of `qemu-img info`. */
export interface ExtentReport {
  /** Where it is or should be; missing where the extent has no file (ZERO, NOACCESS). */
  readonly filename?: string;
  /** The type of its line: `SPARSE`, `FLAT`, … */
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'cluster-size'?: number;
  readonly compressed?: boolean;
  readonly access: string;
  /** Where the extent starts in its file. */
  readonly offset?: number;
  /** Whether the file is there; missing where there is none to be. */
  readonly found?: boolean;
  /** Bytes that the file occupies. */
  readonly 'actual-size'?: number;
  /** Fields of the header, in the format's own words; sectors where the format counts sectors. */
  readonly header?: Extent['header'];
}

/** Why something cannot be read or found. */
export interface Trouble {
  /** As of the error. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Where it was looked for, and what was there. */
  readonly tried?: readonly { readonly path: string; readonly outcome: string }[];
}

/** A disk, in the shape of `qemu-img info` with keys of our own. Sizes in bytes. */
export interface DiskReport {
  readonly filename: string;
  readonly format: 'vmdk';
  readonly 'virtual-size': number;
  /** Bytes that all of its files together occupy. */
  readonly 'actual-size': number;
  readonly 'cluster-size'?: number;
  readonly 'dirty-flag': boolean;
  /** The parent hint, as written. */
  readonly 'backing-filename'?: string;
  /** The parent, when it was found. */
  readonly 'full-backing-filename'?: string;
  /** Why not, when it was looked for and not found; it is a finding as well. */
  readonly 'parent-problem'?: Trouble;
  readonly 'backing-filename-format'?: 'vmdk';
  readonly 'format-specific': {
    readonly type: 'vmdk';
    readonly data: {
      readonly cid?: number;
      readonly 'parent-cid'?: number;
      /** As written. */
      readonly 'create-type': string;
      readonly extents: readonly ExtentReport[];
    };
  };
  /** Canonical spelling of the createType; `custom` when it is no known word. */
  readonly type: string;
  /** Whether it has a parent. */
  readonly delta: boolean;
  /** False when its content cannot be read from its files, and then why. */
  readonly readable: boolean;
  readonly reason?: Trouble;
  readonly descriptor: {
    readonly embedded: boolean;
    readonly version?: number;
    readonly encoding: string;
    /** When the text does not fit the declared encoding. */
    readonly 'decoded-as'?: string;
  };
  readonly 'adapter-type'?: string;
  readonly 'hardware-version'?: string;
  readonly geometry?: { readonly cylinders: number; readonly heads: number; readonly sectors: number };
  readonly uuid?: string;
  readonly 'long-content-id'?: string;
  readonly 'tools-version'?: string;
  readonly thin?: boolean;
  readonly 'change-tracking-file'?: string;
  readonly 'encrypted-by'?: string;
  /** What a shadow was made of. */
  readonly 'shadow-of'?: Lineage;
  readonly findings: readonly Finding[];
}

/** A disk as it was met: what the report was made from, for whoever goes on to its parent. */
export interface InspectedDisk {
  readonly place: ResolvedPath;
  readonly descriptor: Descriptor;
  readonly report: DiskReport;
}

/** Describes the disk in a place that the guard has already allowed. */
export async function inspectDisk(context: OpenContext, place: ResolvedPath): Promise<InspectedDisk> {
  const found = await readDescriptorAt(context, place.path);
  const { descriptor } = found;
  const unreadable = explainUnreadable(descriptor, context.store.opensUrls);
  const opened = unreadable === undefined ? await tryToOpen(context, place) : undefined;
  const silent = { ...context, onFinding: () => undefined };
  const findings = opened?.findings ?? findingsOf(silent, descriptor).findings;
  const failure = opened?.failure;
  const reason = unreadable ?? (failure && reasonOf(failure));
  const extents = opened?.extents ?? (await describeLines(context, descriptor));
  const report = compose(place, found, extents, [
    ...findings,
    ...(reason === undefined ? [] : [findingOf(reason, failure?.context.path ?? place.path)]),
  ]);
  return {
    place,
    descriptor,
    report: {
      ...report,
      'actual-size': await occupiedBytes(context, place, extents),
      readable: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
    },
  };
}

async function readDescriptorAt(context: OpenContext, path: string): Promise<FoundDescriptor> {
  const file = await context.store.open(path, 'read');
  try {
    return await readDescriptor(context, file);
  } finally {
    await file.close();
  }
}

interface Opened {
  readonly findings?: readonly Finding[];
  readonly extents?: readonly ExtentReport[];
  readonly failure?: VmdkError;
}

async function tryToOpen(context: OpenContext, place: ResolvedPath): Promise<Opened> {
  let disk: Disk;
  try {
    disk = await openDiskIn(context, place);
  } catch (failure) {
    if (isVmdkError(failure)) return { failure };
    throw failure;
  }
  try {
    const extents = await Promise.all(
      disk.extents.map(async ({ extent, line }) => ({
        ...lineReport(line, extent.path),
        ...(extent.grainSize > 1 || extent.kind === 'cowd'
          ? { 'cluster-size': extent.grainSize * SECTOR_BYTES }
          : {}),
        ...(extent.kind === 'stream' ? { compressed: true } : {}),
        ...(extent.path === undefined ? {} : await sizeOf(context, extent.path)),
        ...(Object.keys(extent.header).length === 0 ? {} : { header: extent.header }),
      })),
    );
    return { findings: [...disk.findings], extents };
  } finally {
    await disk.close();
  }
}

/** The extents of a disk that does not open: what its lines say and which files are there. */
function describeLines(context: OpenContext, descriptor: Descriptor): Promise<ExtentReport[]> {
  return Promise.all(
    descriptor.extents.map(async (line) => {
      const { fileName } = line;
      if (fileName === undefined || line.type === 'ZERO') return lineReport(line, undefined);
      try {
        const resolved = await context.store.resolve(await extentPath(context, descriptor, line));
        return { ...lineReport(line, resolved.path), found: true, 'actual-size': resolved.allocated };
      } catch (error) {
        if (!isVmdkError(error)) throw error;
        if (error.code !== 'extent-missing') return lineReport(line, fileName);
        const path = isAbsolute(fileName) ? fileName : join(dirname(descriptor.path), fileName);
        return { ...lineReport(line, path), found: false };
      }
    }),
  );
}

function lineReport(line: ExtentLine, filename: string | undefined): ExtentReport {
  return {
    ...(filename === undefined ? {} : { filename }),
    format: line.type,
    'virtual-size': line.sectors * SECTOR_BYTES,
    access: line.access,
    ...(line.hasOffset ? { offset: line.offset * SECTOR_BYTES } : {}),
  };
}

async function sizeOf(
  context: OpenContext,
  path: string,
): Promise<Pick<ExtentReport, 'found' | 'actual-size'>> {
  return { found: true, 'actual-size': (await context.store.resolve(path)).allocated };
}

/** Every file once: split disks may hold several extents in one file, sparse disks hold their descriptor. */
async function occupiedBytes(
  context: OpenContext,
  place: ResolvedPath,
  extents: readonly ExtentReport[],
): Promise<number> {
  const sizes = new Map([[place.path, (await context.store.resolve(place.path)).allocated]]);
  for (const { filename, 'actual-size': size } of extents) {
    if (filename !== undefined && size !== undefined) sizes.set(filename, size);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

function compose(
  place: ResolvedPath,
  { descriptor, embedded }: FoundDescriptor,
  extents: readonly ExtentReport[],
  findings: readonly Finding[],
): DiskReport {
  const { cid, parentCid, createType, parentFileNameHint: hint } = descriptor;
  const grain = extents.find((extent) => extent['cluster-size'] !== undefined)?.['cluster-size'];
  const delta = parentCid !== undefined && parentCid !== NO_PARENT_CID;
  return {
    filename: place.path,
    format: 'vmdk',
    'virtual-size': extents.reduce((sum, extent) => sum + extent['virtual-size'], 0),
    'actual-size': 0,
    ...(grain === undefined ? {} : { 'cluster-size': grain }),
    'dirty-flag': extents.some(({ header }) => header?.['unclean-shutdown'] === true),
    ...(hint === undefined ? {} : { 'backing-filename': hint, 'backing-filename-format': 'vmdk' }),
    'format-specific': {
      type: 'vmdk',
      data: {
        ...(cid === undefined ? {} : { cid }),
        ...(parentCid === undefined ? {} : { 'parent-cid': parentCid }),
        'create-type': createType ?? '',
        extents,
      },
    },
    type: createTypeOf(createType ?? '') ?? 'custom',
    delta,
    readable: true,
    descriptor: {
      embedded: embedded !== undefined,
      ...(descriptor.version === undefined ? {} : { version: descriptor.version }),
      encoding: descriptor.encoding,
      ...(descriptor.decodedAs.toLowerCase() === descriptor.encoding.toLowerCase()
        ? {}
        : { 'decoded-as': descriptor.decodedAs }),
    },
    ...database(descriptor),
    findings,
  };
}

type DatabasePart = Partial<
  Pick<
    DiskReport,
    | 'adapter-type'
    | 'hardware-version'
    | 'geometry'
    | 'uuid'
    | 'long-content-id'
    | 'tools-version'
    | 'thin'
    | 'change-tracking-file'
    | 'encrypted-by'
    | 'shadow-of'
  >
>;

/** What the disk database says, as far as it says it. */
function database({ ddb, changeTrackPath, encryptedBy }: Descriptor): DatabasePart {
  const words = {
    'adapter-type': ddb.get('ddb.adaptertype'),
    'hardware-version': ddb.get('ddb.virtualhwversion'),
    uuid: ddb.get('ddb.uuid'),
    'long-content-id': ddb.get('ddb.longcontentid'),
    'tools-version': ddb.get('ddb.toolsversion'),
    'change-tracking-file': changeTrackPath,
    'encrypted-by': encryptedBy,
  };
  const lineage = lineageOf({ ddb });
  const said = Object.entries(words).filter(([, value]) => value !== undefined && value !== '');
  const [cylinders, heads, sectors] = ['cylinders', 'heads', 'sectors'].map((name) =>
    numberIn(ddb.get(`ddb.geometry.${name}`)),
  );
  return {
    ...(Object.fromEntries(said) as DatabasePart),
    ...(cylinders === undefined || heads === undefined || sectors === undefined
      ? {}
      : { geometry: { cylinders, heads, sectors } }),
    ...(lineage === undefined ? {} : { 'shadow-of': lineage }),
    ...(ddb.has('ddb.thinprovisioned') ? { thin: ddb.get('ddb.thinprovisioned') === '1' } : {}),
  };
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Why a disk that should open does not, or is not found. */
export function reasonOf(failure: VmdkError): Trouble {
  const { hint, candidates: tried = [] } = failure.context;
  return {
    code: failure.code,
    message: withoutPath(failure),
    ...(hint === undefined ? {} : { hint }),
    ...(tried.length === 0 ? {} : { tried }),
  };
}

/** The first line of the message, which stands beside the path. */
function withoutPath({ message, context: { path } }: VmdkError): string {
  const [first = ''] = message.split('\n');
  return path !== undefined && first.startsWith(`${path}: `) ? first.slice(path.length + 2) : first;
}

export function findingOf(reason: Pick<Trouble, 'code' | 'message'>, path: string): Finding {
  const code = reason.code.toUpperCase();
  return { code, severity: 'error', message: reason.message, path, repairable: false };
}

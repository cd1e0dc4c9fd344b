// Opens one link: its descriptor, then its extents. What cannot be read is explained here, before a byte of it is
// taken for zeros.
import { VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Sectors } from '../core/units.ts';
import { explainUnreadable } from '../format/create-types.ts';
import { assertSoundDescriptor, createTypeOf, type Descriptor } from '../format/descriptor.ts';
import type { RandomAccessFile, ResolvedPath } from '../storage/file-store.ts';
import { placedSource, type Disk } from './disk.ts';
import { isFirstExtent, openExtents } from './open-extents.ts';
import { openContext, type OpenContext, type OpenOptions } from './open-options.ts';
import { readDescriptor, type FoundDescriptor } from './read-descriptor.ts';

/**
 * Opens the disk at `path` for reading, without its parents: absent sectors read as zeros.
 * @throws VmdkError; nothing stays open.
 */
export async function openDisk(path: string, options: OpenOptions = {}): Promise<Disk> {
  const context = openContext(options);
  return openDiskIn(context, await context.guard.assertNamedAllowed(path));
}

/** A file that was opened to look at its descriptor. Whoever takes it closes it. */
export interface OpenedDescriptor {
  readonly file: RandomAccessFile;
  readonly found: FoundDescriptor;
}

/** Opens a disk whose place the guard has already allowed; `opened`, which it takes over, saves a second look. */
export async function openDiskIn(
  context: OpenContext,
  place: ResolvedPath,
  opened?: OpenedDescriptor,
): Promise<Disk> {
  const file = opened?.file ?? (await context.store.open(place.path, 'read'));
  let container: RandomAccessFile | undefined = file;
  try {
    const { descriptor, embedded } = opened?.found ?? (await readDescriptor(context, file));
    assertReadable(context, descriptor);
    const { findings, note } = findingsOf(context, descriptor);
    assertWrapsExtents(descriptor, embedded);
    if (embedded === undefined || !isFirstExtent(descriptor)) {
      await file.close();
      container = undefined;
    }
    const holder = container;
    // From here on the first extent owns the file and closes it, also when opening fails.
    container = undefined;
    const extents = await openExtents(context, descriptor, holder, note);
    const capacity = extents.reduce((sum, { extent }) => sum + extent.capacity, 0) as Sectors;
    return {
      path: place.path,
      identity: place.identity,
      descriptor,
      createType: createTypeOf(descriptor.createType ?? '') ?? 'custom',
      embedded: embedded !== undefined,
      extents,
      findings,
      ...placedSource(extents, capacity),
      async close() {
        await Promise.all(extents.map(({ extent }) => extent.close()));
      },
    };
  } finally {
    await container?.close();
  }
}

/** @throws VmdkError with the reason and the way out for disks whose contents are not in their files. */
export function assertReadable({ store }: OpenContext, descriptor: Descriptor): void {
  const reason = explainUnreadable(descriptor, store.opensUrls);
  if (reason !== undefined) {
    throw new VmdkError('unsupported', reason.code, reason.message, {
      path: descriptor.path,
      hint: reason.hint,
    });
  }
  assertSoundDescriptor(descriptor);
}

/** A sparse file may hold a descriptor of flat extents only when it has no grains itself: else two disks are in it. */
export function assertWrapsExtents(descriptor: Descriptor, embedded: FoundDescriptor['embedded']): void {
  const first = descriptor.extents[0];
  if (embedded === undefined || embedded.capacity === 0 || first === undefined) return;
  if (isFirstExtent(descriptor) || first.access === 'NOACCESS') return;
  throw new VmdkError(
    'corrupt',
    'extent-type-mismatch',
    'a sparse file says that its first extent is not sparse',
    {
      path: descriptor.path,
      line: first.line,
      found: `${first.type} of ${first.sectors} sectors`,
      expected: `SPARSE, since the header has ${embedded.capacity} sectors`,
    },
  );
}

/** A list that fills while a disk is open, and the function that fills it. */
export function findingsOf(
  context: OpenContext,
  descriptor: Descriptor,
): { findings: Finding[]; note: (finding: Finding) => void } {
  const findings: Finding[] = [];
  const note = (finding: Finding): void => {
    findings.push(finding);
    context.onFinding(finding);
  };
  for (const { code, severity, message, line } of descriptor.problems) {
    if (severity === 'info') continue;
    const where = line === undefined ? '' : ` (line ${line})`;
    note({
      code: code.toUpperCase(),
      severity,
      message: `${message}${where}`,
      path: descriptor.path,
      repairable: false,
    });
  }
  return { findings, note };
}

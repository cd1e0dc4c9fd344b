// Opens one link for writing. The first write marks the extent unclean and gives the disk a new content id, both
// durable before a sector changes: whoever depends on the old contents can notice.
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { VmdkError } from '../core/errors.ts';
import { roundDown, SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { WritableExtent } from '../extent/extent.ts';
import { createTypeOf } from '../format/descriptor.ts';
import type { ResolvedPath, WritableFile } from '../storage/file-store.ts';
import { assertNotLocked } from './assert-not-locked.ts';
import { ContentIdRoller } from './content-id-roller.ts';
import { extentIndexAt, placedSource, type PlacedExtent, type WritableDisk } from './disk.ts';
import { assertReadable, assertWrapsExtents, findingsOf } from './open-disk.ts';
import { isFirstExtent, openWritableExtents } from './open-extents.ts';
import type { OpenContext } from './open-options.ts';
import { readDescriptor } from './read-descriptor.ts';
import { refusingExtent } from './refusing-extent.ts';
import { streamRefusal } from '../extent/writable-sparse-extent.ts';

/**
 * Opens a disk whose place the guard has already allowed; `named` is how the caller called it.
 * @throws VmdkError; nothing stays open.
 */
export async function openWritableDiskIn(
  context: OpenContext,
  place: ResolvedPath,
  named = place.path,
): Promise<WritableDisk> {
  if (context.locked === 'refuse') await assertNotLocked(context.store, [named, place.path]);
  const file = await context.store.open(place.path, 'update');
  let container: WritableFile | undefined = file;
  try {
    const { descriptor, embedded } = await readDescriptor(context, file);
    assertReadable(context, descriptor);
    const createType = createTypeOf(descriptor.createType ?? '') ?? 'custom';
    if (createType === 'streamOptimized') throw streamRefusal(place.path);
    if (createType === 'seSparse') throw refusingExtent(place.path);
    assertNoChangeTracking(context, place.path, descriptor.changeTrackPath);
    assertWrapsExtents(descriptor, embedded);
    if (embedded !== undefined && !isFirstExtent(descriptor)) throw wrapperRefusal(place.path);
    const { findings, note } = findingsOf(context, descriptor);
    const header = embedded && { ...embedded, file };
    // Loaded when it is needed: who only reads disks never waits for it.
    const { randomBytes } = process.getBuiltinModule('node:crypto');
    const roller = new ContentIdRoller(context.store, descriptor, header, randomBytes);
    if (embedded === undefined) {
      await file.close();
      container = undefined;
    }
    const holder = container;
    container = undefined;
    const extents = await openWritableExtents(context, descriptor, holder, note);
    try {
      if (context.locked === 'refuse') await assertNotLocked(context.store, filesOf(extents));
    } catch (error) {
      await Promise.all(extents.map(({ extent }) => extent.close()));
      throw error;
    }
    const capacity = extents.reduce((sum, { extent }) => sum + extent.capacity, 0) as Sectors;
    return {
      path: place.path,
      identity: place.identity,
      descriptor,
      createType,
      embedded: embedded !== undefined,
      extents,
      findings,
      get cid() {
        return roller.cid;
      },
      ...placedSource(extents, capacity),
      ...writingHalf(extents, context.keepContentId === true ? async () => {} : () => roller.roll()),
    };
  } finally {
    await container?.close();
  }
}

function filesOf(extents: readonly PlacedExtent[]): string[] {
  return extents.flatMap(({ extent }) => extent.path ?? []);
}

function writingHalf(
  extents: readonly PlacedExtent<WritableExtent>[],
  rollContentId: () => Promise<void>,
): Pick<WritableDisk, 'write' | 'zero' | 'zeroGrains' | 'flush' | 'close' | 'grainAt'> {
  const begun = new Map<WritableExtent, Promise<void>>();
  const beginOne = (extent: WritableExtent): Promise<void> => {
    const beginning = begun.get(extent) ?? extent.begin();
    begun.set(extent, beginning);
    return beginning;
  };
  const begin = async (extent: WritableExtent): Promise<void> => {
    // Extents that a crash left unclean are settled together, also those that this opening does not change.
    if (begun.size === 0) {
      const unclean = extents.filter((placed) => placed.extent.unclean);
      await Promise.all(unclean.map((placed) => beginOne(placed.extent)));
    }
    await beginOne(extent);
    await rollContentId();
  };
  const eachPart = async (
    range: SectorRange,
    work: (placed: PlacedExtent<WritableExtent>, part: SectorRange) => Promise<void>,
  ): Promise<void> => {
    const end = range.start + range.count;
    let at: number = range.start;
    for (let index = extentIndexAt(extents, at); at < end; index++) {
      const placed = extents[index]!;
      const stop = Math.min(end, placed.start + placed.extent.capacity);
      await begin(placed.extent);
      await work(placed, sectorRange(at - placed.start, stop - at));
      at = stop;
    }
  };
  const zeroGrains = (range: SectorRange, hidesParent: boolean): Promise<void> =>
    eachPart(range, ({ extent }, part) => extent.zero(part, hidesParent));
  return {
    write: (start, data) =>
      eachPart(sectorRange(start, data.length / SECTOR_BYTES), ({ extent, start: placed }, part) => {
        const from = (placed + part.start - start) * SECTOR_BYTES;
        return extent.write(part.start, data.subarray(from, from + part.count * SECTOR_BYTES));
      }),
    zero: (range) => zeroGrains(range, true),
    zeroGrains,
    async flush() {
      await Promise.all([...begun.keys()].map((extent) => extent.flush()));
    },
    async close() {
      const outcomes = await Promise.allSettled(extents.map(({ extent }) => extent.close()));
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    },
    grainAt(sector) {
      const { start, extent } = extents[extentIndexAt(extents, sector)]!;
      const from = start + roundDown(sector - start, extent.grainSize);
      return sectorRange(from, Math.min(extent.grainSize, start + extent.capacity - from));
    },
  };
}

function wrapperRefusal(path: string): VmdkError {
  return new VmdkError(
    'refused',
    'read-only-format',
    'a descriptor inside a file without grains is not written',
    {
      path,
      hint: 'Put the text into a file of its own, or make a delta of the disk.',
    },
  );
}

function assertNoChangeTracking(
  context: OpenContext,
  path: string,
  changeTrackPath: string | undefined,
): void {
  if (changeTrackPath === undefined || context.dropChangeTracking) return;
  throw new VmdkError(
    'refused',
    'change-tracking',
    'the disk has change tracking, which a write from here makes stale',
    {
      path,
      field: 'changeTrackPath',
      found: changeTrackPath,
      hint: 'Pass --drop-change-tracking to remove the line; the next backup will then be a full one.',
    },
  );
}

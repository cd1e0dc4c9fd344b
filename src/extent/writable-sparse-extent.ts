// The writing half of a hosted sparse extent: the unclean mark around all changes, zero grains where a parent would
// show through.
import { VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { SPARSE_FLAGS, SparseExtentHeader } from '../format/sparse-header.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import { SparseGrains } from '../grain/sparse-grains.ts';
import { SparseGrainWriter } from '../grain/sparse-writer.ts';
import { assertSparseTablesApart } from '../grain/tables-apart.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { plainOrigin, type WritableExtent } from './extent.ts';
import { agreedCapacity, grainExtent } from './grain-extent.ts';
import { uncleanMark } from './unclean-mark.ts';
import { shownFields } from './shown-fields.ts';
import { assertComplete, readSparseHeader } from './sparse-extent.ts';

const VERSION_WITH_ZERO_GRAINS = 2;

/**
 * @throws VmdkError `read-only-format` for streams; `needs-repair` when the tables are damaged. A file whose last
 * writer did not close it is settled first: its redundant tables are made equal to the primary ones.
 */
export async function openWritableSparseExtent(
  file: WritableFile,
  lineSectors: number | undefined,
  onFinding: OnFinding,
  memory = new ExtentMemory(),
): Promise<WritableExtent> {
  const header = await readSparseHeader(file);
  const capacity = agreedCapacity(file.path, header.capacity, header.grainSize, lineSectors);
  if (header.compressed) throw streamRefusal(file.path);
  await assertComplete(file, header);
  let needsDeclaring = (header.flags & SPARSE_FLAGS.zeroedGrains) === 0;
  const grains = await SparseGrains.open(
    file,
    header,
    plainOrigin(file),
    (finding) => {
      if (finding.code !== 'GTE1-FLAG') throw needsRepair(file.path, finding.message);
      // Once we declare them ourselves, the header that was read says nothing any more.
      if (needsDeclaring) onFinding(finding);
    },
    memory,
  );
  if (header.rgdOffset !== undefined && grains.redundant === undefined) {
    throw needsRepair(file.path, 'its redundant grain directory cannot be used');
  }
  await assertSparseTablesApart(file.path, grains);
  const writer = new SparseGrainWriter(file, grains);
  let declared = Promise.resolve();
  /** Durable after it returns, for everybody who asks: no table may say zero before the header says what that means. */
  const declareZeroGrains = (): Promise<void> => {
    if (!needsDeclaring) return declared;
    needsDeclaring = false;
    // One write within one sector, so never half: version and flag say together that an entry of 1 means zeros.
    declared = patchHeader(file, {
      version: Math.max(header.version, VERSION_WITH_ZERO_GRAINS),
      flags: header.flags | SPARSE_FLAGS.zeroedGrains,
    }).then(() => file.sync());
    declared.catch(() => (needsDeclaring = true));
    return declared;
  };
  return {
    ...grainExtent('sparse', file, grains, capacity, shownFields(header)),
    unclean: header.uncleanShutdown,
    write: (start, data) => writer.write(start, data),
    async zero(range, hidesParent) {
      if (!hidesParent) return;
      await declareZeroGrains();
      await writer.zeroGrains(range);
    },
    flush: () => writer.flush(),
    ...uncleanMark(
      file,
      (uncleanShutdown) => patchHeader(file, { uncleanShutdown }),
      () => (header.uncleanShutdown ? writer.settle() : Promise.resolve()),
      () => writer.flush(),
    ),
  };
}

/** Rewrites some fields of the header, in one write of its sector. */
async function patchHeader(
  file: WritableFile,
  fields: Partial<Record<'version' | 'flags' | 'uncleanShutdown', number>>,
): Promise<void> {
  const sector = Buffer.alloc(SparseExtentHeader.byteLength);
  await file.readExactly(sector, 0);
  await file.write(SparseExtentHeader.encode({ ...SparseExtentHeader.decode(sector), ...fields }), 0);
}

export function streamRefusal(path: string): VmdkError {
  return new VmdkError('refused', 'read-only-format', 'a streamOptimized disk cannot be written in place', {
    path,
    hint: 'Its grains are compressed and only ever appended. Make a delta of it, or convert it first.',
  });
}

function needsRepair(path: string, reason: string): VmdkError {
  return new VmdkError('refused', 'needs-repair', `the disk is damaged and must not be written: ${reason}`, {
    path,
    hint: 'Run `vmdkit check` on it first.',
  });
}

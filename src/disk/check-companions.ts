// The files beside a disk that say something about it: its change tracking file, and locks. Both are read, neither
// interpreted further nor touched.
import { isVmdkError } from '../core/errors.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { showText } from '../format/plain-text.ts';
import type { FindingLog } from '../grain/check-findings.ts';
import { withoutPath } from '../grain/check-header.ts';
import { findLocks } from '../storage/lock-state.ts';
import { basename, dirname, isAbsolute, join } from '../storage/place-names.ts';
import type { OpenContext } from './open-options.ts';

/** A tracking file that is gone, not one, or another disk's: the next incremental backup fails or is wrong. */
export async function checkChangeTracking(
  context: OpenContext,
  descriptor: Descriptor,
  log: FindingLog,
): Promise<void> {
  const name = descriptor.changeTrackPath;
  if (name === undefined) return;
  const detail = { path: descriptor.path, repairable: true };
  const shown = showText(name);
  const spelling = name.replaceAll('\\', '/');
  const path = isAbsolute(spelling) ? spelling : join(dirname(descriptor.path), spelling);
  try {
    const place = await context.guard.assertExtentAllowed(path, descriptor.path);
    const file = await context.store.open(place.path, 'read');
    try {
      const first = Buffer.alloc(Math.min(8, await file.size()));
      await file.readExactly(first, 0);
      if (detectFileKind(first) !== 'change-tracking') {
        log.warning(
          'CTK',
          detail,
          () => `changeTrackPath names "${shown}", which is no change tracking file`,
        );
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    const what = error.code === 'file-missing' ? 'which is missing' : withoutPath(error);
    log.warning('CTK', detail, () => `changeTrackPath names "${shown}": ${what}`);
    return;
  }
  const own = basename(descriptor.path).replace(/\.vmdk$/i, '');
  if (basename(spelling).toLowerCase() === `${own}-ctk.vmdk`.toLowerCase()) return;
  log.warning('CTK', detail, () => `changeTrackPath names "${shown}", by its name another disk's`);
}

/** Somebody else has the file open: what is found may change under our eyes. */
export async function checkLocks(context: OpenContext, path: string, log: FindingLog): Promise<void> {
  try {
    for (const lock of await findLocks(context.store, path)) {
      const holder = lock.holder === '' ? '' : ` by ${lock.holder}`;
      const detail = { path: lock.path };
      if (lock.state === 'stale')
        log.info('LOCK', detail, () => `a lock was left behind${holder}: ${lock.detail}`);
      else if (lock.mode === 'shared')
        log.info('LOCK', detail, () => `in use for reading${holder}: ${lock.detail}`);
      else {
        const message = () =>
          `in use for writing${holder}: ${lock.detail}; what is found here may be in flux`;
        log.warning('LOCK', detail, message);
      }
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    log.cannotCheck({ path }, () => `its locks cannot be read: ${withoutPath(error)}`);
  }
}

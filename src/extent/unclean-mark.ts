// The mark that a file is being written: durable before its first change, taken back, durably, as the last one.
import type { WritableFile } from '../storage/file-store.ts';
import type { WritableExtent } from './extent.ts';

/** `set` writes the mark; `settle` mends what an unclean end left; `flush` makes all changes durable. */
export function uncleanMark(
  file: WritableFile,
  set: (value: 0 | 1) => Promise<void>,
  settle: () => Promise<void>,
  flush: () => Promise<void>,
): Pick<WritableExtent, 'begin' | 'close'> {
  let begun = false;
  return {
    async begin() {
      await settle();
      await set(1);
      await file.sync();
      begun = true;
    },
    async close() {
      try {
        if (!begun) return;
        await flush();
        await set(0);
        await file.sync();
      } finally {
        await file.close();
      }
    },
  };
}

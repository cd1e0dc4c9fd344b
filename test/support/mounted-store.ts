// A store of two file systems: all below one folder is on another one, and no rename crosses the border.
import type { FileStore } from '../../src/storage/file-store.ts';
import { storeError } from '../../src/storage/store-errors.ts';

/** With `told: false` only a rename finds the border, as between two mounts of one file system. */
export function withMount(store: FileStore, mount: string, { told = true } = {}): FileStore {
  const deviceOf = (path: string): string => (`${path}/`.startsWith(`${mount}/`) ? '2' : '1');
  return {
    ...store,
    resolve: async (path) => {
      const found = await store.resolve(path);
      return { ...found, device: told ? deviceOf(found.path) : '1' };
    },
    rename: async (from, to) => {
      if (deviceOf(from) === deviceOf(to)) return store.rename(from, to);
      throw storeError(
        Object.assign(new Error('EXDEV: cross-device link'), { code: 'EXDEV' }),
        'rename',
        from,
      );
    },
  };
}

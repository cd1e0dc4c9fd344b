// A store of two file systems: all below one folder is on another one, and no rename crosses the border.
import type { FileStore } from '../../src/storage/file-store.ts';

export function withMount(store: FileStore, mount: string): FileStore {
  const deviceOf = (path: string): string => (`${path}/`.startsWith(`${mount}/`) ? '2' : '1');
  return {
    ...store,
    resolve: async (path) => {
      const found = await store.resolve(path);
      return { ...found, device: deviceOf(found.path) };
    },
    rename: (from, to) => {
      if (deviceOf(from) !== deviceOf(to)) throw new Error('EXDEV: no rename crosses the border');
      return store.rename(from, to);
    },
  };
}

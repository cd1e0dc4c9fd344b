// The ETag of an export: what its content follows from, as one hash. It is the same for the same files however often they
// are served, so that a download can go on another day, and another one as soon as a file changes.
import { createHash } from 'node:crypto';
import type { FileStore } from '../storage/file-store.ts';
import type { ServedExport } from './export-types.ts';

/** How long files are taken to be as they were last seen, in ms. */
const STILL_TRUE_MS = 1000;

export class ExportTags {
  readonly #store: FileStore;
  readonly #seen = new Map<ServedExport, { readonly tag: Promise<string>; readonly at: number }>();

  constructor(store: FileStore) {
    this.#store = store;
  }

  /** Undefined for an export that is written to: its content changes at any moment. */
  async tagOf(served: ServedExport): Promise<string | undefined> {
    if (served.target !== undefined) return undefined;
    const known = this.#seen.get(served);
    if (known !== undefined && Date.now() - known.at < STILL_TRUE_MS) return known.tag;
    const tag = this.#lookAt(served);
    this.#seen.set(served, { tag, at: Date.now() });
    tag.catch(() => this.#seen.delete(served));
    return tag;
  }

  async #lookAt({ size, links }: ServedExport): Promise<string> {
    const hash = createHash('sha256').update(`${size}\0`);
    for (const { path, descriptor, extents } of links) {
      hash.update(`${descriptor.cid ?? ''}\0`);
      const files = new Set([path, ...extents.flatMap(({ extent }) => extent.path ?? [])]);
      for (const file of files) {
        const { identity, size: length, modified } = await this.#store.resolve(file);
        hash.update(`${identity}\0${length}\0${modified}\0`);
      }
    }
    return `"${hash.digest('hex').slice(0, 32)}"`;
  }
}

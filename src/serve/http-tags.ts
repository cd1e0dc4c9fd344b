// The ETag of an export: what its content follows from, as one hash. It is the same for the same files however often they
// are served, so that a download can go on another day. Rule: a tag and content never go together that do not belong
// together; an export whose files are not what they were has neither.
import { createHash } from 'node:crypto';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { ExportTable, ServedExport } from './export-types.ts';

interface KnownFile {
  /** When the server began: what is read is this. */
  readonly state: string;
  /** When it was last seen to be so, ms of `performance.now()`. */
  seen: number;
}

export class ExportTags {
  readonly #store: FileStore;
  readonly #files = new Map<string, KnownFile>();
  readonly #tags = new Map<ServedExport, string>();

  private constructor(store: FileStore) {
    this.#store = store;
  }

  /** Looks at the files of all exports that are only read. @throws VmdkError `file-missing`. */
  static async of({ exports }: ExportTable, store: FileStore): Promise<ExportTags> {
    const tags = new ExportTags(store);
    for (const served of exports) if (served.target === undefined) await tags.#add(served);
    return tags;
  }

  /** Undefined for an export that is written to: its content changes at any moment. */
  tagOf(served: ServedExport): string | undefined {
    return this.#tags.get(served);
  }

  /**
   * Looks once more at what was not looked at for `age` ms. What was read before is then what the tag says.
   * @throws VmdkError `disk-changed`, `file-missing`.
   */
  async assertSame(served: ServedExport, age: number): Promise<void> {
    if (!this.#tags.has(served)) return;
    for (const path of new Set(served.links.flatMap(filesOf))) {
      const known = this.#files.get(path)!;
      const now = performance.now();
      if (age > 0 && now - known.seen < age) continue;
      if ((await this.#stateOf(path)) !== known.state) throw changed(path);
      known.seen = now;
    }
  }

  async #add(served: ServedExport): Promise<void> {
    const hash = createHash('sha256').update(`${served.size}\0`);
    for (const link of served.links) {
      hash.update(`${link.descriptor.cid ?? ''}\0`);
      for (const file of new Set(filesOf(link))) {
        const known = this.#files.get(file) ?? { state: await this.#stateOf(file), seen: performance.now() };
        this.#files.set(file, known);
        hash.update(known.state);
      }
    }
    this.#tags.set(served, `"${hash.digest('hex').slice(0, 32)}"`);
  }

  async #stateOf(path: string): Promise<string> {
    const { identity, size, modified, version = '' } = await this.#store.resolve(path);
    return `${identity}\0${size}\0${modified}\0${version}`;
  }
}

function filesOf({ path, extents }: ServedExport['links'][number]): string[] {
  return [path, ...extents.flatMap(({ extent }) => extent.path ?? [])];
}

function changed(path: string): VmdkError {
  return new VmdkError('conflict', 'disk-changed', 'the disk is no longer what it was when it was opened', {
    path,
    hint: 'Nothing of the new state was sent with the old. Serve it again once nobody writes to it, or serve a snapshot.',
  });
}

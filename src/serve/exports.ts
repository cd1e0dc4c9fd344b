// Opens what is served: each link of each disk as an export by its file's name, and points that somebody names (a machine's
// disks, its snapshots) by theirs. Rule: links are opened once, and only the leaf that was asked for can be written.
import { posix } from 'node:path';
import type { PlannedSource } from '../block/sector-source.ts';
import { MergedSource, type Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import type { WritableChain } from '../chain/writable-chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES, type Bytes } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { openDisk } from '../disk/open-disk.ts';
import { showText } from '../format/plain-text.ts';
import { filesOfDisk, takeLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { uniqueNames } from './export-names.ts';
import type { ExportPoint, ExportSet, ServedExport, ServeOptions, WritableTarget } from './export-types.ts';
import { openOverlay } from './overlay.ts';
import { makeRunFolder, type RunFolder } from './run-folder.ts';

/** One link that can be looked at. */
interface View {
  readonly links: readonly Disk[];
  readonly source: PlannedSource;
  readonly target?: WritableTarget;
}

/**
 * Opens what is to be served. The exports are: for each point, its own name where it has one; then every link, top
 * first, by its file's name, with as many folders before it as tell it from the others.
 * @throws VmdkError; nothing stays open and no lock is kept.
 */
export async function openExports(
  points: readonly ExportPoint[],
  options: ServeOptions = {},
): Promise<ExportSet> {
  const opening = new Opening(storeFor(options.fs), options);
  try {
    await opening.lock(points);
    for (const point of points) await opening.add(point);
    return opening.result();
  } catch (error) {
    await opening.close().catch(() => {});
    throw error;
  }
}

class Opening {
  readonly #store: FileStore;
  readonly #options: ServeOptions;
  readonly #views = new Map<string, View>();
  readonly #chains: Chain[] = [];
  readonly #named: { point: ExportPoint; view: View }[] = [];
  readonly #problems: { point: ExportPoint; error: VmdkError }[] = [];
  #locks: { release(): Promise<void> } | undefined;
  #folder: RunFolder | undefined;
  #closing: Promise<void> | undefined;

  constructor(store: FileStore, options: ServeOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Before anything is opened to be written. What is odd about a disk is told when it is opened for good. */
  async lock(points: readonly ExportPoint[]): Promise<void> {
    const { write, overlay, lockAlso = [], locked } = this.#options;
    const files: string[] = [...lockAlso];
    for (const { path, frozen } of points) {
      if (frozen === true || write !== true) continue;
      files.push(path, ...(await this.#filesOf(path)));
    }
    if (typeof overlay === 'object' && (await this.#store.exists(overlay.file))) {
      files.push(overlay.file, ...(await this.#filesOf(overlay.file)));
    }
    if (files.length > 0) this.#locks = await takeLocks(this.#store, files, { others: locked });
  }

  async #filesOf(path: string): Promise<string[]> {
    const disk = await openDisk(path, { ...this.#options, locked: 'ignore', onFinding: undefined });
    await disk.close();
    return filesOfDisk(disk);
  }

  async add(point: ExportPoint): Promise<void> {
    try {
      const view = await this.#viewOf(point);
      if (point.name !== undefined) this.#named.push({ point, view });
    } catch (error) {
      if (point.optional !== true || !isVmdkError(error)) throw error;
      this.#problems.push({ point, error });
    }
  }

  async #viewOf({ path, frozen }: ExportPoint): Promise<View> {
    const { overlay, write } = this.#options;
    if (frozen !== true && overlay !== undefined) {
      const folder = overlay === 'temporary' ? await this.#temporaryFolder() : undefined;
      return this.#addWritable(await openOverlay(this.#store, path, overlay, folder, this.#options));
    }
    if (frozen !== true && write === true) {
      // The locks are ours.
      return this.#addWritable(await openChain(path, 'update', { ...this.#options, locked: 'ignore' }));
    }
    const known = this.#views.get((await this.#store.resolve(path)).identity);
    if (known !== undefined) return known;
    const chain = await openChain(path, 'read', this.#options);
    this.#chains.push(chain);
    return this.#addLinks(chain, { links: chain.links, source: chain });
  }

  #addWritable(chain: WritableChain): View {
    this.#chains.push(chain);
    const target = Object.assign(chain, {
      grainAt: (sector: number) => chain.leaf.grainAt(sector),
      hidesByMetadata: chain.leaf.extents.every(({ extent }) => extent.kind === 'sparse'),
    });
    return this.#addLinks(chain, { links: chain.links, source: chain, target });
  }

  /** Links below the top are read-only views over the same open files. */
  #addLinks(chain: Chain, top: View): View {
    this.#assertApart(chain, top);
    const before = this.#views.get(chain.leaf.identity);
    if (before === undefined || top.target !== undefined) this.#views.set(chain.leaf.identity, top);
    for (let depth = 1; depth < chain.links.length; depth++) {
      const links = chain.links.slice(depth);
      const { identity } = links[0]!;
      if (!this.#views.has(identity)) this.#views.set(identity, { links, source: sourceOver(links) });
    }
    return top;
  }

  /** Nobody's base may change under him. */
  #assertApart(chain: Chain, top: View): void {
    const isWritten = (disk: Disk): boolean => this.#views.get(disk.identity)?.target !== undefined;
    const below = chain.links.slice(1).find(isWritten);
    const stands = top.target !== undefined && this.#views.get(chain.leaf.identity)?.links[0] !== undefined;
    const clash = below ?? (stands ? chain.leaf : undefined);
    if (clash === undefined) return;
    throw new VmdkError('refused', 'base-is-written', 'a disk cannot be written and stood on at once', {
      path: clash.path,
      hint: 'Serve the disk that is to be written alone, or leave it out and write to the one above it.',
    });
  }

  async #temporaryFolder(): Promise<string> {
    this.#folder ??= await makeRunFolder(this.#store, this.#options.temporaryFolder);
    return this.#folder.path;
  }

  result(): ExportSet {
    const exports = this.#exports();
    const byName = new Map(exports.map((each) => [each.name, each]));
    if (exports.length === 0) throw this.#problems[0]?.error ?? new RangeError('nothing to serve');
    return {
      exports,
      problems: this.#problems,
      find: (name) => (name === '' ? exports[0] : byName.get(name)),
      close: () => this.close(),
    };
  }

  #exports(): ServedExport[] {
    const found = new Map<string, ServedExport>();
    for (const { point, view } of this.#named) {
      const text = `${point.description ?? point.name!}: ${describe(view)}`;
      found.set(point.name!, served(point.name!, text, view));
    }
    const views = [...this.#views.values()];
    const names = uniqueNames(views.map(({ links }) => links[0]!.path));
    for (const [index, view] of views.entries()) {
      const name = names[index]!;
      // A point of this name was named on purpose.
      if (!found.has(name)) found.set(name, served(name, describe(view), view));
    }
    return [...found.values()];
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const closed = await Promise.allSettled(this.#chains.map((chain) => chain.close()));
    const rest = await Promise.allSettled([this.#folder?.remove(), this.#locks?.release()]);
    for (const one of [...closed, ...rest]) if (one.status === 'rejected') throw one.reason;
  }
}

function sourceOver(links: readonly Disk[]): PlannedSource {
  const merged = new MergedSource(links);
  return {
    capacity: merged.capacity,
    map: (range) => merged.map(range),
    plan: (range) => merged.plan(range),
    read: (range, into) => merged.read(range, into),
    // Whoever opened the links closes them.
    close: () => Promise.resolve(),
  };
}

function served(name: string, description: string, { links, source, target }: View): ServedExport {
  const size = (source.capacity * SECTOR_BYTES) as Bytes;
  const base = { name, description, size, path: links[0]!.path, links, source };
  return target === undefined ? base : { ...base, target };
}

/** `web-01-000002.vmdk, seSparse, 3 links, read-only` */
function describe({ links, target }: View): string {
  const { path, createType } = links[0]!;
  const count = links.length === 1 ? '1 link' : `${links.length} links`;
  const access = target === undefined ? 'read-only' : 'writable';
  return `${showText(posix.basename(path))}, ${createType}, ${count}, ${access}`;
}

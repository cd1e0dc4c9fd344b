// Checks one disk without its parents: descriptor, extents, companions. Whatever is wrong with one part, the others
// are still checked.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { explainUnreadable } from '../format/create-types.ts';
import { createTypeOf, type Descriptor, type ExtentLine } from '../format/descriptor.ts';
import { EXTENT_TYPES } from '../format/extent-line.ts';
import { showText } from '../format/plain-text.ts';
import { NO_GRAINS, type GrainCounts } from '../grain/check-context.ts';
import { checkExtentFile, checkFlatFile, type CheckedExtent } from '../grain/check-extent-file.ts';
import { FindingLog } from '../grain/check-findings.ts';
import { withoutPath } from '../grain/check-header.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { join } from '../storage/place-names.ts';
import { checkChangeTracking, checkLocks } from './check-companions.ts';
import { checkDescriptor } from './check-descriptor.ts';
import { SharedSpace } from './check-shared-space.ts';
import { extentPath } from './open-extents.ts';
import type { OpenContext } from './open-options.ts';

/** Files whose locks are looked up; a disk has a handful. */
const MOST_LOCKS = 1000;

export interface LinkCheckOptions {
  readonly deep: boolean;
  readonly task: TaskOptions;
  /** Told of space in extents that nothing refers to, in bytes. */
  readonly onUnused?: ((path: string, start: number, length: number) => void) | undefined;
}

export interface CheckedLink {
  /** Real path. */
  readonly path: string;
  readonly identity: string;
  /** Undefined when there is none that can be read. */
  readonly descriptor: Descriptor | undefined;
  /** Canonical spelling; `custom` when the descriptor's own word is not known, undefined without a descriptor. */
  readonly createType: string | undefined;
  /** Sectors, by the descriptor or else by the header. */
  readonly capacity: number | undefined;
  readonly log: FindingLog;
  readonly grains: GrainCounts;
  /** True when the disk is one file. */
  readonly single: boolean;
}

/**
 * @throws VmdkError for what cannot be checked at all: `not-a-vmdk`, a disk whose contents are not in its files, a
 * failing medium.
 */
export async function checkLink(
  context: OpenContext,
  place: ResolvedPath,
  options: LinkCheckOptions,
): Promise<CheckedLink> {
  const log = new FindingLog();
  const { path, identity } = place;
  const file = await context.store.open(path, 'read');
  try {
    const { descriptor, isExtent } = await checkDescriptor(context, file, log);
    const base = { path, identity, descriptor, log };
    if (descriptor === undefined) {
      await checkLocks(context, path, log);
      if (!isExtent)
        return { ...base, createType: undefined, capacity: undefined, grains: NO_GRAINS, single: true };
      const check = { file, fileBytes: await file.size(), log, ...options };
      const extent = await checkExtentFile(check, undefined);
      return {
        ...base,
        createType: undefined,
        capacity: extent.capacity,
        grains: extent.grains,
        single: true,
      };
    }
    assertHere(context, descriptor);
    const walk = new ExtentWalk(context, descriptor, log, options);
    await checkLocks(context, path, log);
    for (const [index, line] of descriptor.extents.entries()) {
      throwIfAborted(options.task);
      await walk.check(line, index === 0 && isExtent ? path : undefined);
      const done = index + 1;
      options.task.onProgress?.({ phase: 'checking', done, total: descriptor.extents.length, unit: 'files' });
    }
    walk.shared.note(path, log);
    await checkChangeTracking(context, descriptor, log);
    const createType = createTypeOf(descriptor.createType ?? '') ?? 'custom';
    const capacity = descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0);
    return { ...base, createType, capacity, grains: walk.grains, single: isExtent };
  } finally {
    await file.close();
  }
}

/** @throws VmdkError with the reason and the way out for disks whose contents are not in their files. */
function assertHere({ store }: OpenContext, descriptor: Descriptor): void {
  const reason = explainUnreadable(descriptor, store.opensUrls);
  if (reason === undefined) return;
  const { code, message, hint } = reason;
  throw new VmdkError('unsupported', code, message, { path: descriptor.path, hint });
}

/** The same for all lines that mean one file, however each spells it. */
function sharedName({ fileName = '' }: ExtentLine): string {
  return join('', fileName.replaceAll('\\', '/'));
}

class ExtentWalk {
  readonly shared = new SharedSpace();
  grains: GrainCounts = NO_GRAINS;
  readonly #context: OpenContext;
  readonly #descriptor: Descriptor;
  readonly #log: FindingLog;
  readonly #options: LinkCheckOptions;
  /** By name: bytes that the lines need of a flat file, and the last of them. */
  readonly #flats = new Map<string, { needed: number; lastLine: number }>();
  #locksLeft = MOST_LOCKS;

  constructor(context: OpenContext, descriptor: Descriptor, log: FindingLog, options: LinkCheckOptions) {
    this.#context = context;
    this.#descriptor = descriptor;
    this.#log = log;
    this.#options = options;
    for (const each of descriptor.extents) {
      const name = sharedName(each);
      const end = (each.offset + each.sectors) * SECTOR_BYTES;
      const needed = Math.max(this.#flats.get(name)?.needed ?? 0, end);
      this.#flats.set(name, { needed, lastLine: each.line });
    }
  }

  /** `container`: the file that holds the descriptor, when it is embedded and this is the first extent. */
  async check(line: ExtentLine, container: string | undefined): Promise<void> {
    if (line.access === 'NOACCESS' || line.type === 'ZERO' || !EXTENT_TYPES.has(line.type)) return;
    const log = this.#log;
    try {
      const path = container ?? (await extentPath(this.#context, this.#descriptor, line));
      if (path !== this.#descriptor.path && this.#locksLeft-- > 0) await checkLocks(this.#context, path, log);
      const { identity } = await this.#context.store.resolve(path);
      const { grains } = await this.#checkFile(path, identity, line);
      this.#add(grains);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      this.#noteFailure(error, line);
    }
  }

  async #checkFile(path: string, identity: string, line: ExtentLine): Promise<CheckedExtent> {
    const file = await this.#context.store.open(path, 'read');
    try {
      const check = { file, fileBytes: await file.size(), log: this.#log, ...this.#options };
      if (line.type !== 'FLAT' && line.type !== 'VMFS') {
        this.shared.add(identity, path, 0, Number.MAX_SAFE_INTEGER, line.line);
        return await checkExtentFile(check, line.sectors);
      }
      const start = line.offset * SECTOR_BYTES;
      const end = start + line.sectors * SECTOR_BYTES;
      this.shared.add(identity, path, start, end, line.line);
      // Several lines may share one flat file: it is judged once, by all that they need.
      const { needed, lastLine } = this.#flats.get(sharedName(line))!;
      if (line.line === lastLine) return await checkFlatFile(check, needed);
      return { kind: 'flat', capacity: line.sectors, grains: NO_GRAINS };
    } finally {
      await file.close();
    }
  }

  #noteFailure(error: VmdkError, line: ExtentLine): void {
    const { path } = this.#descriptor;
    const where = `extent "${showText(line.fileName ?? '')}" (line ${line.line})`;
    if (error.code === 'extent-missing')
      this.#log.error('EXT-MISSING', { path }, () => `${where} is missing`);
    else if (error.kind === 'refused')
      this.#log.error('EXT-OUTSIDE', { path }, () => `${where}: ${withoutPath(error)}`);
    else this.#log.cannotCheck({ path }, () => `${where}: ${error.message.split('\n')[0]}`);
  }

  #add(grains: GrainCounts): void {
    const sum = this.grains;
    this.grains = {
      total: sum.total + grains.total,
      allocated: sum.allocated + grains.allocated,
      compressed: sum.compressed + grains.compressed,
      leaked: sum.leaked + grains.leaked,
      leakedBytes: sum.leakedBytes + grains.leakedBytes,
      imageEnd: grains.imageEnd,
    };
  }
}

// What a repair of one disk would do, to the byte: found by mending a scratch copy in memory and checking that. Rule:
// only what invents no data is mended, nothing but the named disk's own files is changed, and the same disk gives the
// same plan again: that is how a plan is proved before it is carried out.
import { createHash, randomBytes } from 'node:crypto';
import type { ChainOptions } from '../chain/chain-options.ts';
import type { Finding } from '../core/finding.ts';
import type { TaskOptions } from '../core/task.ts';
import { openContext } from '../disk/open-options.ts';
import { isUsableCid } from '../format/content-id.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { checkDisk, type CheckReport, type Verdict } from './check-disk.ts';
import { dropTracking, filesOfLink, fitCid, mendCapacity, rollTo } from './repair-descriptor.ts';
import { mendExtent } from './repair-extent.ts';
import { whyItStays } from './repair-reasons.ts';
import { createScratchStore, type FileEdit, type ScratchStore } from './scratch-store.ts';

export interface RepairOptions extends ChainOptions, TaskOptions {
  /** Check the links below as well: what is wrong there is listed, and mended only by naming that disk. */
  readonly chain?: boolean | undefined;
  /** Inflate every compressed grain. */
  readonly deep?: boolean | undefined;
  /** The user says that the parent as it is now is the right one: its CID is taken. Default false. */
  readonly fitCid?: boolean | undefined;
  /**
   * Cut off lost space at the end of a file also when it holds data, up to 16 MiB of it: the undo record keeps that. Default
   * false: only zeros are.
   */
  readonly cutLeaks?: boolean | undefined;
  /** 32 hex digits for a new content id, should the guest's contents change. Default: drawn anew. */
  readonly contentId?: string | undefined;
}

export interface PlannedPatch {
  readonly at: number;
  /** Hex. */
  readonly 'old-sha256': string;
  readonly 'old-length': number;
  /** Base64. */
  readonly data: string;
}

export interface PlannedFileRepair {
  /** Real path. */
  readonly path: string;
  readonly identity: string;
  readonly 'size-before': number;
  readonly 'size-after': number;
  readonly patches: readonly PlannedPatch[];
}

/** A finding that a repair leaves. */
export interface LeftFinding extends Finding {
  readonly reason: string;
}

export interface RepairPlan {
  readonly schema: 'vmdkit-repair-plan/v1';
  /** Real path of the disk. */
  readonly filename: string;
  readonly 'fit-cid': boolean;
  readonly 'cut-leaks': boolean;
  /** What the guest sees will be other than before: disks that stand on this one would break. */
  readonly 'changes-content': boolean;
  /** Of a disk whose contents change: 32 hex digits. */
  readonly 'content-id': string;
  readonly 'verdict-before': Verdict;
  /** As it will be. */
  readonly 'verdict-after': Verdict;
  readonly mended: readonly Finding[];
  readonly left: readonly LeftFinding[];
  readonly files: readonly PlannedFileRepair[];
}

export interface RepairWork {
  readonly plan: RepairPlan;
  readonly edits: readonly FileEdit[];
  /** Real paths of all files that the disk consists of. */
  readonly files: readonly string[];
}

/** Plans the repair of the disk at `path`; reads only. @throws VmdkError as `checkDisk`, `repair-too-large`. */
export async function planRepair(path: string, options: RepairOptions = {}): Promise<RepairPlan> {
  return (await workOutRepair(path, options)).plan;
}

export async function workOutRepair(path: string, options: RepairOptions): Promise<RepairWork> {
  const scratch = createScratchStore(storeFor(options.fs));
  const checking = { ...options, fs: scratch, onFinding: undefined };
  const before = await checkDisk(path, checking);
  const contentId = options.contentId ?? drawContentId();
  const { changesContent, files } = await mendLink(scratch, before, options, contentId);
  const edits = await scratch.edits();
  const after = edits.length === 0 ? before : await checkDisk(path, checking);
  const kept = new Set(after.problems.flatMap(namesOf));
  const plan: RepairPlan = {
    schema: 'vmdkit-repair-plan/v1',
    filename: before.filename,
    'fit-cid': options.fitCid ?? false,
    'cut-leaks': options.cutLeaks ?? false,
    'changes-content': changesContent,
    'content-id': contentId,
    'verdict-before': before.verdict,
    'verdict-after': after.verdict,
    mended: before.problems.filter((finding) => !namesOf(finding).some((name) => kept.has(name))),
    left: after.problems
      .filter(({ severity }) => severity !== 'info')
      .map((finding) => ({ ...finding, reason: whyItStays(finding, before.filename, files) })),
    files: edits.map(plannedFile),
  };
  return { plan, edits, files };
}

/** 24 digits for longContentID, 8 for the CID, which must be usable. */
function drawContentId(): string {
  for (;;) {
    const digits = randomBytes(16).toString('hex');
    if (isContentId(digits)) return digits;
  }
}

/** Whether a plan may ask for this content id. */
export function isContentId(digits: unknown): digits is string {
  return (
    typeof digits === 'string' &&
    /^[0-9a-f]{32}$/.test(digits) &&
    isUsableCid(Number.parseInt(digits.slice(24), 16))
  );
}

/** A finding is still the same when its place is, or what it is about: a table made anew stands elsewhere. */
function namesOf({ code, path, offset, severity, message }: Finding): string[] {
  const [subject = message] = message.split(/ differs |:/);
  return [
    `${code} ${path} ${subject}`,
    ...(offset === undefined ? [] : [`${severity} ${code} ${path} ${offset}`]),
  ];
}

function plannedFile({ path, identity, sizeBefore, sizeAfter, patches }: FileEdit): PlannedFileRepair {
  return {
    path,
    identity,
    'size-before': sizeBefore,
    'size-after': sizeAfter,
    patches: patches.map(({ at, old, data }) => ({
      at,
      'old-sha256': createHash('sha256').update(old).digest('hex'),
      'old-length': old.length,
      data: Buffer.from(data).toString('base64'),
    })),
  };
}

async function mendLink(
  scratch: ScratchStore,
  { filename: path, problems, verdict }: CheckReport,
  options: RepairOptions,
  contentId: string,
): Promise<{ changesContent: boolean; files: string[] }> {
  const context = openContext({ ...options, fs: scratch, onFinding: undefined });
  const { descriptor, files } = await filesOfLink(context, path);
  const own = (code: string): boolean =>
    problems.some(
      (finding) =>
        finding.code === code && (finding.path === path || files.some((one) => one.path === finding.path)),
    );
  let changesContent = false;
  const noteContent = (): void => void (changesContent = true);
  if (descriptor !== undefined && files.length === 1 && own('CAP')) {
    if (await mendCapacity(scratch, path, descriptor, files[0]!, options)) noteContent();
  }
  const { descriptor: now, files: extents } = await filesOfLink(context, path);
  // A wrong size makes lost space of what is none.
  const cutLeaks = verdict !== 'sound' ? 'none' : options.cutLeaks === true ? 'all' : 'zeros';
  for (const extent of extents) {
    if (!extent.grains) continue;
    await mendExtent({ scratch, task: options, noteContent, cutLeaks }, extent.path, extent.sectors);
  }
  if (now !== undefined && own('CTK')) await dropTracking(scratch, path);
  if (now !== undefined && own('CHAIN-CID') && options.fitCid === true)
    await fitCid(scratch, path, now, options);
  if (changesContent && now?.cid !== undefined) await rollTo(scratch, path, contentId);
  return { changesContent, files: [...new Set([path, ...extents.map((extent) => extent.path)])] };
}

// Makes the files of a link anew, with the content that it is to have over what it is to stand on: only what differs is
// stored. Rule: the old descriptor is kept, with its own lines changed and no others; files appear under the names that
// a new disk would have, in the change set that removes the old ones.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { eachDifference } from '../block/same-runs.ts';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import type { Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import { VmdkError } from '../core/errors.ts';
import { roundDown, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { createTypeOf, parseDescriptor, type Descriptor } from '../format/descriptor.ts';
import { editDescriptor, type DescriptorEdits } from '../format/edit-descriptor.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import {
  allocatedBytes,
  type DiskPlan,
  type ParentFacts,
  type PlannedFile,
} from '../operations/disk-plan.ts';
import { fillDisk } from '../operations/fill-disk.ts';
import { NEW_DELTA_TYPES, planDelta } from '../operations/plan-delta.ts';
import { ADAPTER_TYPES, CONVERTED_TYPES, planDisk } from '../operations/plan-disk.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { TreeLink } from './link-tree.ts';
import { addNeeded, createTogether, lockLink, type TreePlan } from './tree-plan.ts';
import type { TreeOptions } from './tree-types.ts';

export interface Remake {
  /** The disk that has the content which the link is to have. */
  readonly content: TreeLink;
  /** The disk that has the content which the link will stand on; undefined: it will have no parent. */
  readonly below: TreeLink | undefined;
  readonly edits: DescriptorEdits;
  /** createType of a disk without a parent; its own, or the usual one, unless told. */
  readonly type?: string | undefined;
  /** ddb.adapterType of a disk that loses its parent. */
  readonly adapter?: string | undefined;
  /** True when what it reads as is another than before: change tracking knows nothing of that. */
  readonly newContent?: boolean;
}

/** Plans the link to be made anew. @throws VmdkError `not-mergeable` (unsupported) for types that cannot be made. */
export async function remakeLink(
  plan: TreePlan,
  link: TreeLink,
  remake: Remake,
  options: TreeOptions,
): Promise<void> {
  const { store } = plan;
  const planned = planAgain(link, remake, options);
  const tracked = remake.newContent === true && link.descriptor.changeTrackPath !== undefined;
  const edits = tracked ? { ...remake.edits, changeTrackPath: null, version: 1 } : remake.edits;
  const files = withOwnText(planned, link, edits);
  const bytes = await mostBytes(plan, remake, grainOf(planned), options);
  for (const path of link.files) plan.changes.push({ kind: 'remove', path });
  if (tracked && link.tracking !== undefined) {
    plan.changes.push({ kind: 'remove', path: link.tracking });
    plan.notes.push(`${link.path} loses its change tracking: the next backup is a full one`);
  }
  const names = files.map(({ path }) => posix.basename(path));
  createTogether(plan, link.path, names, async (staging) => {
    await withContents(plan, remake, options, async (content, below) => {
      const staged = files.map((file) => ({ ...file, path: posix.join(staging, posix.basename(file.path)) }));
      const { signal, onProgress } = options;
      await fillDisk(staged, content, (path) => store.create(path), { below, signal, onProgress });
    });
  });
  lockLink(plan, link);
  plan.written.push({ path: link.path, 'create-type': planned.createType, bytes });
  const preallocated = planned.files.some(({ fills = [] }) => fills.length > 0);
  addNeeded(plan, posix.dirname(link.path), allocatedBytes(planned) + (preallocated ? 0 : bytes));
  plan.freed += link.occupied;
}

function planAgain(link: TreeLink, remake: Remake, options: TreeOptions): DiskPlan {
  const { path, capacity, descriptor } = link;
  const random = options.random ?? randomBytes;
  const type = typeFor(link, remake);
  const { grainSize, splitSectors } = link.createType === type ? link : NO_SHAPE;
  const shape = { path, capacity, grainSize, splitSectors, random };
  const { below } = remake;
  if (below !== undefined) {
    const facts: ParentFacts = { path: below.path, capacity, descriptor: below.descriptor };
    return planDelta(facts, { ...shape, createType: type, hint: 'parent', cid: remake.edits.cid });
  }
  const full = link.occupied >= capacity * SECTOR_BYTES;
  const wanted = remake.adapter ?? descriptor.ddb.get('ddb.adaptertype');
  const known = ADAPTER_TYPES.find((each) => each.toLowerCase() === wanted?.toLowerCase());
  return planDisk(
    {
      ...shape,
      createType: type!,
      adapterType: known === 'ide' && type === 'vmfs' ? undefined : known,
      ...(/flat$|^vmfs$/i.test(type!) ? { preallocate: full && link.createType === type } : {}),
    },
    CONVERTED_TYPES,
  );
}

const NO_SHAPE = { grainSize: undefined, splitSectors: undefined };

/** Its own type where that can be made; undefined for what VMware would choose above the parent. */
function typeFor(link: TreeLink, { below, type, newContent }: Remake): string | undefined {
  if (below !== undefined) return NEW_DELTA_TYPES.find((one) => one === link.createType);
  if (type !== undefined) return createTypeOf(type) ?? type;
  const own = CONVERTED_TYPES.find((one) => one === link.createType);
  if (own !== undefined && own !== 'seSparse') return own;
  if (own === undefined && newContent === true && link.parent === undefined) {
    const flat = link.descriptor.extents.every((extent) => extent.type === 'VMFS');
    if (!flat) throw notMade(link);
  }
  const esx = link.descriptor.extents.some(
    (each) => each.type.startsWith('VMFS') || each.type === 'SESPARSE',
  );
  return esx ? 'vmfs' : 'monolithicSparse';
}

function notMade({ path, createType }: TreeLink): VmdkError {
  return new VmdkError('unsupported', 'not-mergeable', 'a disk of this type cannot be made anew', {
    path,
    found: createType,
    expected: CONVERTED_TYPES.join(', '),
    hint: 'Convert it to another type first: vmdkit convert.',
  });
}

/** The planned files with the link's own descriptor in them, edited. */
function withOwnText(planned: DiskPlan, link: TreeLink, edits: DescriptorEdits): PlannedFile[] {
  const files = [...planned.files];
  const last = files.pop()!;
  const fresh = parseDescriptor(textOf(last), link.path);
  const retyped = createTypeOf(link.descriptor.createType ?? '') !== planned.createType;
  const edited = editDescriptor(link.descriptor, {
    ...edits,
    ...(retyped ? { createType: planned.createType } : {}),
    extents: fresh.extents,
    ddb: { ...missingKeys(link.descriptor, fresh), ...edits.ddb },
  });
  const text = withoutTail(printDescriptor(edited));
  const shape = last.extent;
  if (shape === undefined) return [...files, { ...last, size: text.length, parts: [{ at: 0, data: text }] }];
  if (shape.kind !== 'sparse' && shape.kind !== 'stream') throw new RangeError(`no text in ${shape.kind}`);
  const room = textOf(last).length;
  const most = shape.kind === 'sparse' ? shape.layout.descriptorSize * SECTOR_BYTES : Math.max(room, 10_240);
  if (text.length > most) {
    throw new VmdkError('refused', 'descriptor-too-full', 'the descriptor has no room in the new file', {
      path: link.path,
      found: `${text.length} bytes`,
      expected: `at most ${most} bytes`,
      hint: 'Take lines out of the descriptor that nothing needs, or promote the disk to a type with a text file of its own.',
    });
  }
  return [...files, { ...last, extent: { ...shape, descriptor: text } }];
}

function textOf({ extent, parts }: PlannedFile): Uint8Array {
  if (extent?.kind === 'sparse' || extent?.kind === 'stream') return extent.descriptor!;
  return parts[0]!.data;
}

function withoutTail(text: Buffer): Buffer {
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  return text.subarray(0, end);
}

/** What a disk of its own says of itself and a delta need not: adapter, geometry, version. Identities are its own. */
function missingKeys(old: Descriptor, fresh: Descriptor): Record<string, string> {
  const keys: Record<string, string> = {};
  for (const { raw, key } of fresh.lines) {
    if (key?.startsWith('ddb.') !== true || old.ddb.has(key) || key === 'ddb.longcontentid') continue;
    const spelt = /ddb\.[\w.]+/.exec(Buffer.from(raw).toString('latin1'))?.[0];
    if (spelt !== undefined) keys[spelt] = fresh.ddb.get(key)!;
  }
  return keys;
}

function grainOf({ files }: DiskPlan): number {
  const shape = files.find(({ extent }) => extent !== undefined)!.extent!;
  return shape.kind === 'flat' || shape.kind === 'sesparse' ? 8 : shape.layout.grainSize;
}

/** Data that has to be stored at most, in whole grains: what metadata alone does not show to be there already. */
async function mostBytes(
  plan: TreePlan,
  remake: Remake,
  grain: number,
  options: TreeOptions,
): Promise<number> {
  if (remake.below === remake.content) return 0;
  let sectors = 0;
  await withContents(plan, remake, options, async (content, below) => {
    let done = 0;
    const add = (start: number, end: number): void => {
      const [from, to] = [Math.max(done, roundDown(start, grain)), roundUp(end, grain)];
      if (to > from) sectors += to - from;
      done = Math.max(done, to);
    };
    for await (const runs of walkRuns(content, wholeOf(content))) {
      if (below === undefined) {
        for (let index = 0; index < runs.length; index++)
          if (runs.isDataAt(index)) add(runs.startAt(index), runs.endAt(index));
        continue;
      }
      const range = sectorRange(runs.start, runs.end - runs.start);
      for await (const under of walkRuns(below, range)) eachDifference(runs, under, add);
    }
  });
  return sectors * SECTOR_BYTES;
}

/** The same of a disk of its own that is planned with the content of `content`. */
export function dataBytes(
  plan: TreePlan,
  content: TreeLink,
  planned: DiskPlan,
  options: TreeOptions,
): Promise<number> {
  return mostBytes(plan, { content, below: undefined, edits: {} }, grainOf(planned), options);
}

/** Opens what the link is to read as and what it is to stand on. */
async function withContents(
  { store }: TreePlan,
  { content, below }: Remake,
  options: TreeOptions,
  work: (content: SectorSource, below: SectorSource | undefined) => Promise<void>,
): Promise<void> {
  const opened = await openAsPlanned(store, content, options);
  try {
    if (below === content) return await work(opened, opened);
    const under = below === undefined ? undefined : await openAsPlanned(store, below, options);
    try {
      await work(opened, under);
    } finally {
      await under?.close();
    }
  } finally {
    await opened.close();
  }
}

/** The very disk that was planned with. @throws VmdkError `disk-changed` (conflict) when it is another by now. */
export async function openAsPlanned(store: FileStore, link: TreeLink, options: TreeOptions): Promise<Chain> {
  const chain = await openChain(link.path, 'read', { ...options, fs: store, onFinding: undefined });
  if (chain.leaf.identity === link.identity && chain.leaf.descriptor.cid === link.descriptor.cid)
    return chain;
  await chain.close();
  throw new VmdkError('conflict', 'disk-changed', 'the disk is no longer what it was a moment ago', {
    path: link.path,
    hint: 'Stop whatever works on it, then run again.',
  });
}

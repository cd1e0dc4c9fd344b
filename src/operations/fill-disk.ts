// A planned disk made with content, in one go from front to back: for conversions and full copies. Rule: nothing here
// gives files their names or takes them back; whoever calls brings the place to make them in.
import { copyGrains, type CopyGrainsOptions, type GrainTaker } from '../block/copy-grains.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { buildCowd } from '../extent/build-cowd.ts';
import { buildFlat } from '../extent/build-flat.ts';
import { buildSeSparse } from '../extent/build-sesparse.ts';
import { buildSparse } from '../extent/build-sparse.ts';
import { buildStream } from '../extent/build-stream.ts';
import { writeParts, type ExtentBuilder } from '../extent/extent-builder.ts';
import type { WritableFile } from '../storage/file-store.ts';
import type { ExtentShape, PlannedFile } from './disk-plan.ts';

/** zlib's own default, and qemu-img's. */
export const USUAL_LEVEL = 6;

export interface FillOptions extends CopyGrainsOptions {
  /** Of compression, 1 to 9; streamOptimized only. 6 unless told. */
  level?: number | undefined;
}

export interface FilledFile {
  readonly path: string;
  /** Bytes, its length. */
  readonly size: number;
}

export interface FilledDisk {
  readonly files: readonly FilledFile[];
  /** Bytes of content that were handed to the new disk; the rest of it reads as zeros, or as its parent. */
  readonly written: number;
}

/** Makes the planned files with the content of `source`; `create` opens each, the descriptor last, all are closed. */
export async function fillDisk(
  planned: readonly PlannedFile[],
  source: SectorSource,
  create: (path: string) => Promise<WritableFile>,
  options: FillOptions = {},
): Promise<FilledDisk> {
  const open: WritableFile[] = [];
  const sizes = new Map<string, number>();
  try {
    const extents: PlacedBuilder[] = [];
    let start = 0;
    for (const each of planned) {
      if (each.extent === undefined) continue;
      const file = await create(each.path);
      open.push(file);
      const sectors = sectorsOf(each.extent);
      extents.push({ start, end: start + sectors, builder: builderFor(file, each, each.extent, options) });
      start += sectors;
    }
    const written = await copyGrains(source, takerOf(extents), options);
    for (const { builder } of extents) await builder.finish();
    for (const each of planned) {
      if (each.extent !== undefined) continue;
      const file = await create(each.path);
      open.push(file);
      await file.resize(each.size);
      await writeParts(file, each.parts);
    }
    for (const file of open) sizes.set(file.path, await file.size());
    return { written, files: open.map(({ path }) => ({ path, size: sizes.get(path)! })) };
  } finally {
    await closeAll(open);
  }
}

interface PlacedBuilder {
  /** Sectors of the disk; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  readonly builder: ExtentBuilder;
}

export function sectorsOf(shape: ExtentShape): number {
  return shape.kind === 'flat' ? shape.sectors : shape.layout.capacity;
}

function builderFor(
  file: WritableFile,
  planned: PlannedFile,
  shape: ExtentShape,
  { level = USUAL_LEVEL }: FillOptions,
): ExtentBuilder {
  switch (shape.kind) {
    case 'flat':
      return buildFlat(file, shape.sectors, (planned.fills ?? []).length > 0);
    case 'sparse':
      return buildSparse(file, shape.layout, shape.descriptor);
    case 'cowd':
      return buildCowd(file, shape.layout);
    case 'sesparse':
      return buildSeSparse(file, shape.layout);
    case 'stream':
      return buildStream(appendTo(file), shape.layout, shape.descriptor, level);
  }
}

function appendTo(file: WritableFile): { path: string; append: (data: Uint8Array) => Promise<void> } {
  let end = 0;
  return {
    path: file.path,
    append: (data) => {
      const at = end;
      end += data.length;
      return file.write(data, at);
    },
  };
}

/** Extents hold whole grains, the last one apart: what crosses from one to the next is cut there. */
function takerOf(extents: readonly PlacedBuilder[]): GrainTaker {
  const first = extents[0]!.builder;
  if (extents.length === 1) return first;
  let current = 0;
  const spread = async (
    start: number,
    count: number,
    give: (builder: ExtentBuilder, from: number, to: number, base: number) => Promise<void>,
  ): Promise<void> => {
    const given: Promise<void>[] = [];
    for (let at = start; at < start + count;) {
      while (extents[current]!.end <= at) current++;
      const { builder, start: base, end } = extents[current]!;
      const to = Math.min(end, start + count);
      given.push(give(builder, at, to, base));
      at = to;
    }
    const outcomes = await Promise.allSettled(given);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  };
  return {
    grainSize: first.grainSize,
    write: (start, data) =>
      spread(start, data.length / SECTOR_BYTES, (builder, from, to, base) =>
        builder.write(from - base, data.subarray((from - start) * SECTOR_BYTES, (to - start) * SECTOR_BYTES)),
      ),
    hide: (start, count) =>
      spread(start, count, (builder, from, to, base) => builder.hide(from - base, to - from)),
  };
}

async function closeAll(files: readonly WritableFile[]): Promise<void> {
  const outcomes = await Promise.allSettled(files.map((file) => file.close()));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

// Many deltas above one parent, encoded once. They differ in their names and long content ids alone, which both stand
// only in the descriptor: what lies between those places is shared by all, as is every other file's content.
import { posix } from 'node:path';
import type { RandomBytes } from '../format/content-id.ts';
import type { ParentFacts, PlannedFile } from './disk-plan.ts';
import { creatableType } from './plan-checks.ts';
import { NEW_DELTA_TYPES, planDelta } from './plan-delta.ts';

export interface DeltaTemplate {
  readonly createType: string;
  /** What a user should know of such a delta. */
  readonly notes: readonly string[];
  /** Names of the files of the delta called `stem`, the one that opens the disk last. */
  fileNames(stem: string): string[];
  /** The files of the delta `folder`/`stem`.vmdk. */
  files(folder: string, stem: string, random: RandomBytes): PlannedFile[];
}

export interface TemplateRequest {
  readonly createType?: string | undefined;
  readonly hint: string;
}

/** A part of a file: bytes that all share, and between each two of them the stem or the id. */
interface TemplatePart {
  readonly at: number;
  readonly pieces: readonly (Uint8Array | 'stem' | 'id')[];
}

interface TemplateFile {
  /** What follows the stem in its name. */
  readonly suffix: string;
  /** Undefined for a file that is as long as its text. */
  readonly size: number | undefined;
  readonly parts: readonly TemplatePart[];
}

const ID_BYTES = 12;

/**
 * @throws what `planDelta` throws, but for names: those of the deltas are the caller's to check. `random` makes what
 * stands in the place of names and ids, and must not be seeded alike twice.
 */
export function deltaTemplate(
  parent: ParentFacts,
  request: TemplateRequest,
  random: RandomBytes,
): DeltaTemplate {
  // Said here of all of them: the name below is nobody's.
  if (request.createType !== undefined) creatableType(request.createType, NEW_DELTA_TYPES);
  const stem = `stem-${Buffer.from(random(ID_BYTES)).toString('hex')}`;
  const id = random(ID_BYTES);
  const plan = planDelta(parent, { ...request, path: `/${stem}.vmdk`, random: () => id });
  const marks = { stem: Buffer.from(stem), id: Buffer.from(Buffer.from(id).toString('hex')) };
  const files = plan.files.map((file) => templateFile(file, marks));
  return {
    createType: plan.createType,
    notes: plan.notes,
    fileNames: (name) => files.map(({ suffix }) => name + suffix),
    files: (folder, name, randomOfDelta) => {
      const values = {
        stem: Buffer.from(name),
        id: Buffer.from(Buffer.from(randomOfDelta(ID_BYTES)).toString('hex')),
      };
      return files.map((file) => filledFile(file, posix.join(folder, name + file.suffix), values));
    },
  };
}

type Values = Readonly<Record<'stem' | 'id', Buffer>>;

function templateFile({ path, size, parts }: PlannedFile, marks: Values): TemplateFile {
  const cut = parts.map(({ at, data }) => ({ at, pieces: cutAtMarks(data, marks) }));
  const [only] = parts;
  const isText = parts.length === 1 && only!.at === 0 && only!.data.length === size;
  const suffix = posix.basename(path).slice(marks.stem.length);
  return { suffix, size: isText ? undefined : size, parts: cut };
}

function cutAtMarks(data: Uint8Array, marks: Values): TemplatePart['pieces'] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const pieces: (Uint8Array | 'stem' | 'id')[] = [];
  let done = 0;
  for (;;) {
    const next = (['stem', 'id'] as const)
      .map((what) => ({ what, at: bytes.indexOf(marks[what], done) }))
      .filter(({ at }) => at >= 0)
      .toSorted((a, b) => a.at - b.at)[0];
    if (next === undefined) break;
    pieces.push(bytes.subarray(done, next.at), next.what);
    done = next.at + marks[next.what].length;
  }
  pieces.push(bytes.subarray(done));
  return pieces;
}

function filledFile(file: TemplateFile, path: string, values: Values): PlannedFile {
  const parts = file.parts.map(({ at, pieces }) => {
    const [first] = pieces;
    if (pieces.length === 1 && typeof first === 'object') return { at, data: first };
    return {
      at,
      data: Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? values[piece] : piece))),
    };
  });
  return { path, size: file.size ?? parts[0]!.data.length, parts };
}

// What all clones of one request have in common: the bases, proved; where the clones go, what they are called, and
// their deltas encoded once. Reads only, and looks at nothing that stands in the clones' places.
import { createHash, randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { basename, isUrl } from '../storage/place-names.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { assertRoomForClones, examineBases, type CloneBase } from './clone-bases.ts';
import { expandNames, type CloneName } from './clone-names.ts';
import type { CloneLayout, CloneOptions, CloneRequest } from './clone-types.ts';
import { deltaTemplate, type DeltaTemplate } from './delta-template.ts';
import type { JournalUnit } from './journal.ts';
import { parentHintFor } from './parent-hint.ts';

export interface CloneShape {
  readonly store: FileStore;
  /** Real path. */
  readonly into: string;
  /** Folders to make first, outermost first: `into` is missing. */
  readonly missingFolders: readonly string[];
  readonly layout: CloneLayout;
  readonly hint: 'relative' | 'absolute';
  /** As asked for. */
  readonly type: string | undefined;
  readonly keepGoing: boolean;
  /** Roots that opening the bases was allowed. */
  readonly allow: readonly string[];
  readonly names: readonly CloneName[];
  readonly bases: readonly CloneBase[];
  /** parentFileNameHint of each base's deltas. */
  readonly hints: readonly string[];
  /** One for each base. */
  readonly templates: readonly DeltaTemplate[];
  /** What follows the clone's name in that of its disk, one for each base. */
  readonly suffixes: readonly string[];
  /** Equal for two runs of the same request. */
  readonly fingerprint: string;
}

/** @throws VmdkError `usage`; whatever opening a base finds; `disk-locked`, `chain-too-deep` (refused). */
export async function shapeClones(request: CloneRequest, options: CloneOptions): Promise<CloneShape> {
  const store = storeFor(options.fs);
  const bases = await examineBases(store, request.bases, options);
  assertRoomForClones(bases);
  const names = expandNames(request, stemOf(bases[0]!.path));
  const { into, missingFolders } = await findInto(store, request.into, options);
  const layout = request.layout ?? layoutFor(bases, into);
  const hint = request.hint ?? 'relative';
  const random = options.random ?? randomBytes;
  // All clones lie equally deep, so that one hint serves them all.
  const sample = layout === 'folders' ? posix.join(into, names[0]!.name) : into;
  const hints = bases.map(({ path }) => parentHintFor(hint, sample, path));
  const templates = bases.map((base, index) =>
    deltaTemplate(base, { createType: request.type, hint: hints[index]! }, random),
  );
  const identity = {
    bases: bases.map(({ path, cid }) => [path, cid]),
    into,
    layout,
    hint,
    types: templates.map(({ createType }) => createType),
    names: names.map(({ name }) => name),
  };
  return {
    store,
    into,
    missingFolders,
    layout,
    hint,
    type: request.type,
    keepGoing: request.keepGoing === true,
    allow: options.allow ?? [],
    names,
    bases,
    hints,
    templates,
    suffixes: suffixesOf(bases),
    fingerprint: createHash('sha256').update(JSON.stringify(identity)).digest('hex'),
  };
}

/** The files of a clone as the journal lists them. */
export function unitOf({ templates, suffixes }: CloneShape, name: string): JournalUnit {
  return {
    name,
    files: templates.flatMap((template, index) => template.fileNames(name + suffixes[index]!)),
  };
}

/** The real path of a folder that may be missing, and which folders that takes. */
export async function findInto(
  store: FileStore,
  into: string,
  { confine }: Pick<CloneOptions, 'confine'>,
): Promise<{ into: string; missingFolders: string[] }> {
  if (into === '') throw usageError('the folder for the clones has no name');
  const guard = createPathGuard({ store, confine });
  const missing: string[] = [];
  for (let at = into; ; at = posix.dirname(at)) {
    try {
      const found = await guard.assertNamedAllowed(at);
      if (found.kind !== 'folder') {
        throw new VmdkError('usage', 'not-a-folder', 'clones are made in a folder', {
          path: found.path,
          found: found.kind,
          expected: 'a folder, or nothing',
        });
      }
      const missingFolders = missing.map((_, index) =>
        posix.join(found.path, ...missing.slice(0, index + 1)),
      );
      return { into: posix.join(found.path, ...missing), missingFolders };
    } catch (error) {
      if (!isVmdkError(error, 'file-missing') || posix.dirname(at) === at) throw error;
      missing.unshift(posix.basename(at));
    }
  }
}

function layoutFor(bases: readonly CloneBase[], into: string): CloneLayout {
  if (bases.length > 1) return 'folders';
  if (isUrl(bases[0]!.path)) return 'files';
  const way = posix.relative(into, bases[0]!.path);
  return !way.startsWith('../') && way.includes('/') ? 'folders' : 'files';
}

/**
 * One base: its clone is NAME.vmdk. Several: NAME-base.vmdk. Never the base's own name, by which a reader whose hint
 * fails would take a clone for its base.
 */
function suffixesOf(bases: readonly CloneBase[]): string[] {
  if (bases.length === 1) return [''];
  const seen = new Set<string>();
  return bases.map(({ path }) => {
    const stem = stemOf(path);
    let suffix = `-${stem}`;
    for (let number = 2; seen.has(suffix.toLowerCase()); number++) suffix = `-${stem}-${number}`;
    seen.add(suffix.toLowerCase());
    return suffix;
  });
}

function stemOf(path: string): string {
  return basename(path).replace(/\.vmdk$/i, '');
}

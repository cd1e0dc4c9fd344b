// What a user should know of a plan before it is carried out: each warning names the way out.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { createPathGuard, type PathGuard } from '../storage/path-guard.ts';
import { isUrl } from '../storage/place-names.ts';
import type { CloneBase } from './clone-bases.ts';
import type { CloneShape } from './clone-shape.ts';
import type { CloneWarning, PlannedClone } from './clone-types.ts';
import type { InterruptedRun } from './interrupted-runs.ts';
import { hintNotes } from './parent-hint.ts';

export async function warningsOf(
  shape: CloneShape,
  clones: readonly PlannedClone[],
  interrupted: readonly InterruptedRun[],
): Promise<CloneWarning[]> {
  // As somebody will open a clone who knows nothing of how it was made.
  const guard = createPathGuard({ store: shape.store });
  const warnings = interrupted.map((run) => interruptedWarning(run, 'is'));
  for (const [index, base] of shape.bases.entries()) {
    for (const { code, message, path, severity } of base.findings) {
      if (severity !== 'info') warnings.push({ code: code.toLowerCase(), message, path });
    }
    warnings.push(...(await reachWarnings(guard, shape, clones[0]!.disks[index]!.path, index)));
    if (shape.allow.length > 0) warnings.push(...(await belowWarnings(guard, base)));
    for (const note of shape.templates[index]!.notes) warnings.push({ code: 'delta-type', message: note });
  }
  return warnings;
}

/** `tense` is `is` of what will be settled, `was` of what has been. */
export function interruptedWarning({ path, fate }: InterruptedRun, tense: 'is' | 'was'): CloneWarning {
  const message = `a run that was interrupted ${tense} ${fate} first`;
  return { code: 'interrupted-run', message, path };
}

async function reachWarnings(
  guard: PathGuard,
  { bases, hints, layout }: CloneShape,
  path: string,
  index: number,
): Promise<CloneWarning[]> {
  const notes = await hintNotes(guard, path, hints[index]!, bases[index]!);
  if (notes.length === 0) return [];
  if (isUrl(bases[index]!.path)) return notes.map((message) => ({ code: 'base-is-remote', message, path }));
  const around = posix.dirname(bases[index]!.path);
  const closer =
    layout === 'folders'
      ? `make them in a folder that also holds ${around}, or with --layout files beside that folder`
      : `make them in a folder beside or around ${around}`;
  return notes.map((note) => ({
    code: 'base-out-of-reach',
    message: `each clone needs to be told where its base is: ${note}. To do without, ${closer}`,
    path,
  }));
}

async function belowWarnings(guard: PathGuard, { path, links }: CloneBase): Promise<CloneWarning[]> {
  for (const [index, child] of links.slice(0, -1).entries()) {
    const parent = links[index + 1]!.path;
    try {
      await guard.assertParentAllowed(parent, child.path);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      const message = `clones open only as this base does: with --allow ${posix.dirname(parent)}`;
      return [{ code: 'base-needs-allow', message, path }];
    }
  }
  return [];
}

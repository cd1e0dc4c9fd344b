// What runs left that were interrupted. A dry run settles nothing, so it is told, since it comes first in earnest; and where
// a file is missing, since it may lie in such a run's journal. Rule: only looked at.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { fateWords, foretell } from '../operations/foresee-run.ts';
import { findInterrupted } from '../operations/settle-changes.ts';
import { isUrl } from '../storage/place-names.ts';
import type { CommandContext } from './context.ts';

export async function warnOfInterrupted(path: string, context: CommandContext): Promise<void> {
  const { path: folder } = await context.store.resolve(posix.dirname(path));
  for (const run of await findInterrupted(context.store, folder, { takeOver: context.force }))
    context.warn(foretell(run));
}

/** Before the error that something is missing. */
export async function warnOfMoved(failure: unknown, context: CommandContext): Promise<void> {
  if (!isVmdkError(failure, 'file-missing', 'extent-missing', 'parent-missing')) return;
  const { path, candidates = [] } = failure.context;
  // Where a parent may not be looked for, nothing is looked at here either.
  const allowed = candidates.filter(({ outcome }) => outcome === 'no such file');
  const paths = [...(path === undefined ? [] : [path]), ...allowed.map((candidate) => candidate.path)];
  const folders = new Set(paths.filter((each) => !isUrl(each)).map((each) => posix.dirname(each)));
  // Programs read one line of JSON.
  if (context.format !== 'human') return;
  for (const folder of folders) await warnOfJournals(folder, context);
}

async function warnOfJournals(folder: string, context: CommandContext): Promise<void> {
  try {
    const { path } = await context.store.resolve(folder);
    for (const { label, fate, path: journal } of await findInterrupted(context.store, path))
      context.warn(
        `what is missing may be in ${journal}, of a ${label} run that was interrupted: it ${fateWords(fate, 'by the next command that changes files here, as by the same one again')}`,
      );
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    if (error.code === 'run-in-progress') context.warn(error.message);
  }
}

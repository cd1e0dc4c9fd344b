// What a command that writes into a disk where it stands leaves when it fails or is stopped: a disk between old and new. Rule:
// that is never left unsaid.
import { isVmdkError } from '../core/errors.ts';
import type { CommandContext } from './context.ts';

/** What `work` comes to; when it fails once something was written, the disk is said to be between old and new. */
export async function tellingWhatIsInPart<T>(
  work: () => Promise<T>,
  { path, begun }: { readonly path: string; readonly begun: () => boolean },
  context: CommandContext,
  wayOut: string,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // Programs read one line of JSON. What a patch came to in the end is told by its own error.
    if (begun() && context.format === 'human' && !isVmdkError(error, 'patch-result-differs'))
      context.warn(`${path}: some of it is written, and what was written stays: ${wayOut}`);
    throw error;
  }
}

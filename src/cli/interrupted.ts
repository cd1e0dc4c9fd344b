// A dry run settles nothing: what an interrupted run left around a disk is told, since it comes first in earnest.
import { posix } from 'node:path';
import { findInterrupted } from '../operations/settle-changes.ts';
import type { CommandContext } from './context.ts';

export async function warnOfInterrupted(path: string, context: CommandContext): Promise<void> {
  const { path: folder } = await context.store.resolve(posix.dirname(path));
  for (const { label, fate } of await findInterrupted(context.store, folder, { takeOver: context.force }))
    context.warn(`a ${label} run that was interrupted will be ${fate} first`);
}

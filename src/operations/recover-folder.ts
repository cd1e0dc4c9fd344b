// Every disk of a folder that has lost its descriptor, in one go: bases first, then what stands on them. Rule: each is
// recovered as it would be alone; one that cannot be is listed, and does not keep the others back.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { openContext } from '../disk/open-options.ts';
import { classifyFileName, descriptorCandidatesFor, type FileRole } from '../format/file-names.ts';
import { recoverDescriptor, type RecoverOptions, type RecoverReport } from './recover.ts';
import { gatherEvidence, type Evidence } from './recover-evidence.ts';
import { knownDisks } from './recover-parent.ts';
import type { LostPart } from './recover-stream.ts';
import { clearStages } from './staged-files.ts';

export interface RecoverFolderReport {
  readonly schema: 'vmdkit-recover/v1';
  readonly filename: string;
  readonly made: 'descriptors';
  /** In the order in which they were made. */
  readonly disks: readonly Omit<RecoverReport, 'schema' | 'made'>[];
  /** All that could not be recovered. */
  readonly lost: readonly LostPart[];
}

const EXTENT_ROLES: ReadonlySet<FileRole> = new Set([
  'flat',
  'split-flat',
  'split-sparse',
  'delta',
  'sesparse',
]);

/** @throws VmdkError `nothing-to-recover` when no extent of the folder is without a descriptor. */
export async function recoverFolder(
  folder: string,
  options: RecoverOptions = {},
): Promise<RecoverFolderReport> {
  const context = openContext({ ...options, onFinding: undefined });
  const { path } = await context.guard.assertNamedAllowed(folder);
  await clearStages(context.store, path);
  const named = new Set((await knownDisks(context, path)).flatMap(({ files }) => files));
  const waiting = groupsOf((await context.store.list(path)).sort(), named);
  if (waiting.size === 0) {
    throw new VmdkError('unsupported', 'nothing-to-recover', 'no extent here is without a descriptor', {
      path,
    });
  }
  const evidence = await gatherEvidence(context.store, path);
  const disks: Omit<RecoverReport, 'schema' | 'made'>[] = [];
  const lost: LostPart[] = [];
  for (const name of inChainOrder([...waiting.keys()], evidence)) {
    throwIfAborted(options);
    const sources = waiting.get(name)!.map((file) => posix.join(path, file));
    try {
      const target = posix.join(path, name);
      await assertFree(context.store.exists(target), target);
      const {
        schema: _,
        made: __,
        ...report
      } = await recoverDescriptor(context, sources, target, options.parent);
      disks.push(report);
      lost.push(...report.lost.map((part) => ({ ...part, what: `${name}: ${part.what}` })));
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      lost.push({ what: `${name}: not recovered: ${error.message.split('\n')[0]!}` });
    }
  }
  return { schema: 'vmdkit-recover/v1', filename: path, made: 'descriptors', disks, lost };
}

async function assertFree(there: Promise<boolean>, path: string): Promise<void> {
  if (!(await there)) return;
  throw new VmdkError('refused', 'target-exists', 'a file is there that is no descriptor of these extents', {
    path,
  });
}

/** Extents that nobody names, by the name of the descriptor that they should have. */
function groupsOf(names: readonly string[], named: ReadonlySet<string>): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const file of names) {
    if (named.has(file) || !EXTENT_ROLES.has(classifyFileName(file).role)) continue;
    const owner = descriptorCandidatesFor(file)[0]!;
    groups.set(owner, [...(groups.get(owner) ?? []), file]);
  }
  return groups;
}

/** Disks before those that are said to stand on them, else by their numbers. */
function inChainOrder(names: readonly string[], { parents }: Evidence): string[] {
  const numberOf = (name: string): number => {
    const { role, number = 0 } = classifyFileName(name);
    return role === 'snapshot' ? number : 0;
  };
  const waiting = [...names].sort((a, b) => numberOf(a) - numberOf(b));
  const ordered: string[] = [];
  while (waiting.length > 0) {
    const ready = waiting.findIndex(
      (name) =>
        !parents.some(({ child, parent }) => child === name && parent !== name && waiting.includes(parent)),
    );
    ordered.push(...waiting.splice(Math.max(0, ready), 1));
  }
  return ordered;
}

// Questions that a forest answers about one machine. Pure.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { showText } from '../format/plain-text.ts';
import { chainOf, type Forest, type ForestMachine } from './forest.ts';

export interface CloneAnswer {
  readonly machine: ForestMachine;
  readonly linkedClone: boolean;
  /** Why it is one, a sentence each; empty when it is none. */
  readonly reasons: readonly string[];
}

/**
 * Whether the machine whose .vmx has this real path is a linked clone: whether it reads disks of others, or says so.
 * @throws VmdkError `machine-not-found` when no such machine was scanned.
 */
export function isLinkedClone(forest: Forest, vmxPath: string): CloneAnswer {
  const machine = forest.machines.find(({ path }) => path === vmxPath);
  if (machine === undefined) {
    throw new VmdkError('missing', 'machine-not-found', 'there is no machine of this name', {
      path: vmxPath,
      expected: 'a .vmx that can be read',
    });
  }
  const reasons = [
    ...machine.cloneOf.map((name) => `its snapshot database says: a clone of "${showText(name)}"`),
    ...machine.sharedDisks.map((path) => `it stands on ${path}`),
    ...lostBases(forest, machine),
  ];
  return { machine, linkedClone: reasons.length > 0, reasons };
}

/** Chains that end in the air, where the hint of the last link leads out of the machine's folder. */
function lostBases(forest: Forest, machine: ForestMachine): string[] {
  return machine.disks.flatMap(({ path }) => {
    const last = path === undefined ? undefined : chainOf(forest, path).at(-1);
    if (last === undefined || !last.delta) return [];
    const hint = (last.hint ?? '').replaceAll('\\', '/');
    const folder = posix.dirname(hint);
    if (hint === '' || folder === '.' || posix.basename(folder) === posix.basename(posix.dirname(last.path)))
      return [];
    return [`${last.path} stands on "${showText(last.hint!)}", which is not here`];
  });
}

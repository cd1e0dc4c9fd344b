// The machines that list what is removed as a linked clone of theirs: their snapshot databases forget it. Rule: only the
// lines that name it go, and none of a machine that is in use.
import { isVmdkError } from '../core/errors.ts';
import { parseDictionary, printDictionary } from '../format/dictionary.ts';
import { setClones } from '../format/edit-vmsd.ts';
import { readSnapshotDatabase } from '../format/vmsd.ts';
import type { FileChange } from '../operations/file-change.ts';
import { readWhole } from '../operations/tidy.ts';
import { findLocks } from '../storage/lock-state.ts';
import { posix } from 'node:path';
import type { ForestMachine } from './forest.ts';
import { placeNamed } from './relink-hints.ts';
import type { RemoveTargets } from './remove-targets.ts';
import type { ForgottenClone, RemoveOptions } from './remove-types.ts';

export interface Forgetting {
  readonly changes: readonly FileChange[];
  readonly roots: readonly string[];
  readonly forgotten: readonly ForgottenClone[];
  readonly notes: readonly string[];
}

export async function planForgetting(
  { store, forest }: RemoveTargets,
  going: ReadonlySet<string>,
  { pathMap = [], locked }: RemoveOptions,
): Promise<Forgetting> {
  const changes: FileChange[] = [];
  const forgotten: ForgottenClone[] = [];
  const notes: string[] = [];
  const isMeant = (name: string, machine: ForestMachine): boolean => {
    const place = placeNamed(name, machine.path, pathMap);
    return place !== undefined && going.has(place);
  };
  for (const machine of forest.machines) {
    if (going.has(machine.path)) continue;
    if (!machine.snapshots.some(({ clones }) => clones.some((name) => isMeant(name, machine)))) continue;
    const path = machine.path.replace(/\.(?:vmx|vmtx)$/i, '.vmsd');
    try {
      const place = await store.resolve(path);
      if (place.path !== path || place.kind !== 'file') continue;
      if (locked !== 'ignore' && (await findLocks(store, machine.path)).length > 0) {
        notes.push(`${path} goes on listing the clone: the machine is in use`);
        continue;
      }
      const before = await readWhole(store, path);
      let vmsd = parseDictionary(before, path);
      for (const snapshot of readSnapshotDatabase(vmsd).snapshots) {
        const { uid, clones } = snapshot;
        const gone = clones.filter((name) => isMeant(name, machine));
        if (gone.length === 0) continue;
        vmsd = setClones(
          vmsd,
          snapshot,
          clones.filter((name) => !gone.includes(name)),
        );
        for (const clone of gone) forgotten.push({ path, snapshot: uid, clone });
      }
      const data = printDictionary(vmsd);
      if (!data.equals(before)) changes.push({ kind: 'replace', path, data, old: before });
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      notes.push(`${path} goes on listing the clone: ${error.message.split('\n')[0]!}`);
    }
  }
  return {
    changes,
    roots: changes.map((change) => posix.dirname('path' in change ? change.path : '/')),
    forgotten,
    notes,
  };
}

// Puts a machine's disks upon new, empty deltas: in the next free number, beside the disk, of the type that VMware would
// choose. Rule: the disk below is opened for reading only, with its whole chain, so that no delta stands on a broken one.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { assertNotMixed } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { truth } from '../format/vmx.ts';
import { assertRoomAbove } from '../operations/create-delta.ts';
import { allocatedBytes } from '../operations/disk-plan.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import { planDelta } from '../operations/plan-delta.ts';
import { deltaStem, nextDeltaName } from './delta-names.ts';
import { spelledLike, type ChangePlan } from './machine-change.ts';
import type { Machine } from './machine.ts';
import type { SnapshotOptions } from './snapshot-types.ts';

/** Names that are taken, folder by folder, with those that this change takes. */
export class ReservedNames {
  readonly #plan: Pick<ChangePlan, 'store' | 'machine'>;
  readonly #folders = new Map<string, string[]>();

  constructor(plan: Pick<ChangePlan, 'store' | 'machine'>) {
    this.#plan = plan;
  }

  /** The next delta of the disk at `path`, in `folder`. */
  async next(folder: string, path: string, isDelta: boolean): Promise<string> {
    const { store, machine } = this.#plan;
    const taken = this.#folders.get(folder) ?? [
      ...(await store.list(folder)),
      // Also what is missing on the medium: a name in a text must not come to mean something new.
      ...machine.vmx.entries.map(({ value }) => lastNameOf(value)),
      ...(machine.vmsd?.entries ?? []).map(({ value }) => lastNameOf(value)),
    ];
    const name = nextDeltaName(deltaStem(posix.basename(path), isDelta), taken);
    this.#folders.set(folder, [...taken, name]);
    return posix.join(folder, name);
  }
}

/** Plans an empty delta above the disk at `path`, and the machine at `node` to run on it. */
export async function addDelta(
  plan: ChangePlan,
  { node, fileName, path }: { node: string; fileName: string; path: string },
  reserved: ReservedNames,
  options: SnapshotOptions,
): Promise<void> {
  const { store, machine } = plan;
  const chain = await openChain(path, 'read', { ...options, fs: store, onFinding: undefined });
  try {
    assertNotMixed(chain.links);
    assertRoomAbove(chain.links.length, chain.leaf.path);
    const folder = deltaFolder(machine, chain.leaf.path);
    const isDelta = chain.leaf.descriptor.parentCid !== NO_PARENT_CID;
    const target = await reserved.next(folder, chain.leaf.path, isDelta);
    const delta = planDelta(chain.leaf, {
      path: target,
      hint: parentHintFor('relative', folder, chain.leaf.path),
      random: options.random ?? randomBytes,
    });
    for (const file of delta.files) plan.changes.push({ kind: 'create', path: file.path, file });
    plan.needed += allocatedBytes(delta);
    plan.notes.push(...delta.notes.map((note) => `${node}: ${note}`));
    plan.vmxEdits[`${node}.fileName`] = spelledLike(machine, { fileName, path }, target);
    plan.disks.push({ node, from: path, to: target });
  } finally {
    await chain.close();
  }
}

/** Beside the disk, as VMware does; in the working folder when the machine says so. */
export function deltaFolder({ vmx, workingFolder }: Machine, path: string): string {
  return truth(vmx.get('snapshot.redoNotWithParent')) === true ? workingFolder : posix.dirname(path);
}

function lastNameOf(value: string): string {
  return value
    .slice(Math.max(value.lastIndexOf('/'), value.lastIndexOf('\\')) + 1)
    .replace(/^\[[^\]]*\]\s*/, '');
}

// What settling will do with a change set that was interrupted, as far as can be told without changing anything. Rule:
// where a file system ends is known from what the store says of folders; two mounts of one are found by a rename alone,
// so a run that reaches from folder to folder is only said to be finished if they are none.
import { posix } from 'node:path';
import type { FileStore } from '../storage/file-store.ts';
import type { ChangeState } from './change-journal.ts';
import { leavesPlaces, madePath, outPath, type ChangeRun } from './change-run.ts';
import { deviceOf } from './one-file-system.ts';
import { emptiedBy, filledBy } from './plan-changes.ts';
import { mayGoBack } from './take-back.ts';

/**
 * `finished-or-undone`: finished unless its folders turn out to be two mounts. `stuck`: neither can be done, since its
 * files lie on two file systems and what came already may be in use; settling says where everything is.
 */
export type Fate = 'undone' | 'finished' | 'finished-or-undone' | 'stuck';

/** Of one change: what has yet to move, and what of that no rename brings to its place. */
interface Ahead {
  /** It has yet to come to its place. */
  readonly waiting: boolean;
  readonly outBlocked: boolean;
  readonly inBlocked: boolean;
}

const NOTHING: Ahead = { waiting: false, outBlocked: false, inBlocked: false };

export async function foreseeRun(run: ChangeRun, state: ChangeState): Promise<Fate> {
  if (state === 'new') return 'undone';
  if (state === 'done') return 'finished';
  const { changes } = run.journal;
  const devices = new Devices(run.store);
  const leaving = state === 'ready' && leavesPlaces(run);
  const ahead: Ahead[] = [];
  for (const index of changes.keys()) ahead.push(await lookAhead(run, index, leaving, devices));
  if (ahead.some(({ outBlocked }) => outBlocked)) return 'undone';
  if (!ahead.some(({ inBlocked }) => inBlocked)) {
    const reaches = changes.some(
      (record, index) => record.kind === 'rename' && record.toRoot !== record.root && ahead[index]!.waiting,
    );
    return reaches ? 'finished-or-undone' : 'finished';
  }
  for (const [index, record] of changes.entries()) {
    // What is not stopped comes before the end of the file system is met.
    const comes = ahead[index]!.waiting && !ahead[index]!.inBlocked;
    const stays = comes && record.kind !== 'rename' && run.journal.label !== 'rename';
    const back = record.kind === 'rename' && ahead[index]!.waiting;
    if (stays || !(back || (await mayGoBack(run, record, index)))) return 'stuck';
  }
  return 'undone';
}

/** `leaving`: what leaves its place may still be there. */
async function lookAhead(run: ChangeRun, index: number, leaving: boolean, devices: Devices): Promise<Ahead> {
  const { store, roots, folders } = run;
  const record = run.journal.changes[index]!;
  // What is optional is left out where it cannot come.
  const optional = record.kind === 'folder' && record.optional;
  const places = optional ? [] : filledBy(roots, record);
  const from = emptiedBy(roots, record);
  const home = folders[record.root];
  if (home === undefined || (from === undefined && places.length === 0)) return NOTHING;
  const gone = from === undefined || (await store.exists(outPath(run, index)));
  const out = leaving && !gone && (await store.exists(from));
  const waiting =
    record.kind === 'rename' ? out || gone : places.length > 0 && (await store.exists(madePath(run, index)));
  let inBlocked = false;
  for (const place of waiting ? places : []) inBlocked ||= await devices.differ(home, posix.dirname(place));
  const outBlocked = out && (await devices.differ(home, posix.dirname(from)));
  return { waiting, outBlocked, inBlocked };
}

/** Each folder looked at once. */
class Devices {
  readonly #store: FileStore;
  readonly #known = new Map<string, string | undefined>();

  constructor(store: FileStore) {
    this.#store = store;
  }

  async differ(a: string, b: string): Promise<boolean> {
    const [one, other] = [await this.#of(a), await this.#of(b)];
    return one !== undefined && other !== undefined && one !== other;
  }

  async #of(folder: string): Promise<string | undefined> {
    if (!this.#known.has(folder)) this.#known.set(folder, await deviceOf(this.#store, folder));
    return this.#known.get(folder);
  }
}

/** For people, after `a rename run that was interrupted`. */
export function fateWords(fate: Fate, when = 'first'): string {
  switch (fate) {
    case 'undone':
    case 'finished':
      return `will be ${fate} ${when}`;
    case 'finished-or-undone':
      return `will be finished ${when}, or undone if its folders are mounted apart`;
    case 'stuck':
      return 'can be neither finished nor undone, since its files lie on two file systems: in earnest, the error says where each is';
  }
}

export function foretell({ label, fate }: { label: string; fate: Fate }): string {
  return `a ${label} run that was interrupted ${fateWords(fate)}`;
}

// Guards a base against being written: its files become read-only and its contents are remembered, so that a base that
// was booted by mistake is found out, and its CID put back when its contents are proved to be the same.
// Rule: the only write to a base is that of its recorded CID, after every byte was compared, and never over a change
// that a disk above shows.
import { posix } from 'node:path';
import { assertNotMixed } from '../chain/half-merged.ts';
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { openDisk } from '../disk/open-disk.ts';
import { printCid } from '../format/content-id.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import { settleChangeSets } from '../operations/settle-changes.ts';
import { filesOfDisk, withLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { descriptorChange } from './descriptor-change.ts';
import { affectedBy } from './guard-affected.ts';
import { compareWith } from './guard-compare.ts';
import { CHUNK_SECTORS, digestsOf, PIECE_SECTORS } from './guard-digest.ts';
import { guardPathOf, openGuard, writeGuard, type GuardHeader } from './guard-file.ts';
import { areReadOnly, makeReadOnly, makeWritable } from './guard-modes.ts';
import type { GuardOptions, GuardRange, GuardReport, GuardVerdict } from './guard-types.ts';
import { nameFew } from './name-few.ts';
import { findSharers, type Sharers } from './sharers.ts';

/**
 * Records the contents of the disk and makes its files read-only.
 * @throws VmdkError `already-guarded`, `base-runs` (refused) unless forced; `half-merged`, `disk-locked` (refused); errors of
 * reading.
 */
export async function setGuard(path: string, options: GuardOptions = {}): Promise<GuardReport> {
  return withDisk(path, options, async ({ store, disk, sharers, notes }) => {
    // The end of the merge would be a change that nobody made.
    assertNotMixed([disk]);
    const guardPath = guardPathOf(disk.path);
    const known = await store.exists(guardPath);
    if (known && options.force !== true) throw alreadyGuarded(disk.path, guardPath);
    assertNobodyRuns(disk, sharers, options.force === true);
    const files = filesOfDisk(disk);
    const header = headerOf(disk, {
      recorded: options.now ?? new Date().toISOString(),
      modes: known ? await knownModes(store, disk.path) : await makeReadOnly(store, files, true),
    });
    let map = '';
    const content = {
      make: (to: string): Promise<void> =>
        writeGuard(store, to, header, {
          chunks: digestsOf(disk, options, (digest) => void (map = digest)),
          mapDigest: () => map,
        }),
    };
    await withLocks(
      store,
      files,
      () =>
        applyChangeSet(
          store,
          {
            root: posix.dirname(disk.path),
            label: 'guard',
            changes: [
              ...(known ? [{ kind: 'remove' as const, path: guardPath }] : []),
              { kind: 'create', path: guardPath, file: content },
            ],
            request: JSON.stringify(['guard', disk.path]),
          },
          { durable: options.durable, signal: options.signal, runs: options.runs },
        ),
      { mode: 'shared', others: options.locked, signal: options.signal },
    );
    await makeReadOnly(store, files, false);
    if (store.changeMode === undefined)
      notes.push('this file system has no permissions: the files stay writable');
    return report('set', { store, disk, header, sharers, notes });
  });
}

/**
 * Compares the disk with what was recorded, and tells which disks above show a difference. Reads only.
 * @throws VmdkError `not-guarded` (missing), `fingerprint-damaged` (corrupt); errors of reading.
 */
export function checkGuard(path: string, options: GuardOptions = {}): Promise<GuardReport> {
  return withDisk(path, options, (open) => check(open, options, 'check'));
}

/** Makes the files writable as they were, and removes the fingerprint. @throws VmdkError `not-guarded` (missing). */
export async function releaseGuard(path: string, options: GuardOptions = {}): Promise<GuardReport> {
  return withDisk(path, options, async ({ store, disk, sharers, notes }) => {
    const guard = await openGuard(store, disk.path);
    await guard.close();
    const told = await report('release', { store, disk, header: guard.header, sharers, notes });
    await makeWritable(store, filesOfDisk(disk), guard.header.modes);
    await applyChangeSet(
      store,
      {
        root: posix.dirname(disk.path),
        label: 'guard',
        changes: [{ kind: 'remove', path: guardPathOf(disk.path) }],
        request: JSON.stringify(['release', disk.path]),
      },
      options,
    );
    return { ...told, 'read-only': await areReadOnly(store, filesOfDisk(disk)) };
  });
}

/**
 * Gives the base the CID back that it had when it was recorded, when nothing of its contents changed; with `force` also
 * when every disk above has data of its own wherever something did.
 * @throws VmdkError `base-changed` (refused), which says where; `disk-locked` (refused); as `checkGuard`.
 */
export async function restoreCid(path: string, options: GuardOptions = {}): Promise<GuardReport> {
  return withDisk(path, options, async (open) => {
    const { store, disk } = open;
    const files = filesOfDisk(disk);
    return withLocks(
      store,
      files,
      async () => {
        const found = await check(open, options, 'restore-cid');
        if (found.verdict === 'as-recorded') return found;
        const unseen = found.verdict === 'changed-unseen' && options.force === true;
        if (found.verdict !== 'cid-rolled' && !unseen) throw baseChanged(found);
        const guard = await openGuard(store, disk.path);
        await guard.close();
        const { cid, longContentId } = guard.header;
        const change = await descriptorChange(store, disk.path, {
          cid,
          ...(longContentId === undefined || disk.descriptor.ddb.get('ddb.longcontentid') === undefined
            ? {}
            : { longContentId }),
        });
        const wereReadOnly = await areReadOnly(store, [disk.path]);
        if (wereReadOnly) await makeWritable(store, [disk.path], {});
        try {
          await applyChangeSet(
            store,
            {
              root: posix.dirname(disk.path),
              label: 'guard',
              changes: change === undefined ? [] : [change],
              request: JSON.stringify(['restore-cid', disk.path]),
            },
            { durable: options.durable, signal: options.signal, runs: options.runs },
          );
        } finally {
          if (wereReadOnly) await makeReadOnly(store, [disk.path], false);
        }
        const note = 'what changed is still there: disks that are made over it from now on show it';
        return { ...found, cid: printCid(cid), notes: unseen ? [...found.notes, note] : found.notes };
      },
      { others: options.locked, signal: options.signal },
    );
  });
}

interface OpenBase {
  readonly store: FileStore;
  readonly disk: Disk;
  readonly sharers: Sharers;
  readonly notes: string[];
}

/** Settles what earlier runs left, opens the one link, looks at who stands on it, and closes all again. */
async function withDisk(
  path: string,
  options: GuardOptions,
  work: (open: OpenBase) => Promise<GuardReport>,
): Promise<GuardReport> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  const notes: string[] = [];
  const first = await openDisk(path, { ...options, fs: store });
  await first.close();
  for (const { label, outcome } of await settleChangeSets(store, posix.dirname(first.path), options))
    notes.push(`a ${label} run that was interrupted was ${outcome} first`);
  const sharers = await findSharers(store, path, options);
  const disk = await openDisk(path, {
    ...options,
    fs: store,
    onFinding: ({ message }) => void notes.push(message),
  });
  try {
    return await work({ store, disk, sharers, notes: [...notes, ...sharers.notes] });
  } finally {
    await disk.close();
  }
}

async function check(
  open: OpenBase,
  options: GuardOptions,
  action: 'check' | 'restore-cid',
): Promise<GuardReport> {
  const { store, disk, sharers, notes } = open;
  const guard = await openGuard(store, disk.path);
  try {
    const { header } = guard;
    const { changed, sameLayout } = await compareWith(disk, guard, options);
    if (changed.length === 0 && !sameLayout)
      notes.push('its contents are stored in another way than they were, which no disk above can tell');
    const base = sharers.forest.byPath.get(sharers.path);
    const children = base === undefined ? [] : await affectedBy(sharers.forest, base, changed, options);
    const seen = children.some(({ sectors }) => sectors > 0) || sharers.unconfirmed.length > 0;
    const verdict: GuardVerdict =
      changed.length > 0
        ? seen || children.length === 0
          ? 'changed'
          : 'changed-unseen'
        : disk.descriptor.cid === header.cid
          ? 'as-recorded'
          : 'cid-rolled';
    const told = await report(action, { store, disk, header, sharers, notes });
    return { ...told, verdict, changed, children };
  } finally {
    await guard.close();
  }
}

async function report(
  action: GuardReport['action'],
  { store, disk, header, sharers, notes }: OpenBase & { readonly header: GuardHeader },
): Promise<GuardReport> {
  const readOnly = await areReadOnly(store, filesOfDisk(disk));
  const unconfirmed = sharers.unconfirmed.map(
    ({ path, reason }) => `${path} stands on it by the register, and was not looked at: ${reason}`,
  );
  if (action === 'check' && !readOnly)
    notes.push('its files are writable: vmdkit guard DISK --set --force makes them read-only again');
  return {
    schema: 'vmdkit-guard/v1',
    action,
    filename: disk.path,
    fingerprint: guardPathOf(disk.path),
    recorded: header.recorded,
    cid: disk.descriptor.cid === undefined ? '' : printCid(disk.descriptor.cid),
    'recorded-cid': printCid(header.cid),
    changed: [],
    'chunk-size': PIECE_SECTORS * SECTOR_BYTES,
    children: sharers.disks.map(({ path }) => ({ path, sectors: 0 })),
    'read-only': readOnly,
    notes: [...notes, ...unconfirmed],
  };
}

function headerOf(disk: Disk, more: Pick<GuardHeader, 'recorded' | 'modes'>): GuardHeader {
  const { cid, ddb } = disk.descriptor;
  if (cid === undefined) {
    throw new VmdkError('corrupt', 'no-cid', 'the disk has no CID that could be remembered', {
      path: disk.path,
      expected: 'CID=…',
    });
  }
  const long = ddb.get('ddb.longcontentid');
  return {
    disk: posix.basename(disk.path),
    cid,
    ...(long !== undefined && /^[0-9a-f]{32}$/i.test(long) ? { longContentId: long } : {}),
    capacity: disk.capacity,
    chunkSectors: CHUNK_SECTORS,
    pieceSectors: PIECE_SECTORS,
    ...more,
  };
}

/** What a disk that is guarded already had before: by now its files are read-only. */
async function knownModes(store: FileStore, path: string): Promise<GuardHeader['modes']> {
  try {
    const guard = await openGuard(store, path);
    await guard.close();
    return guard.header.modes;
  } catch (error) {
    if (error instanceof VmdkError) return {};
    throw error;
  }
}

/** @throws VmdkError `base-runs` (refused): a machine that runs on the disk itself could not start any more. */
function assertNobodyRuns({ path }: Disk, { forest }: Sharers, force: boolean): void {
  const uses = forest.byPath.get(path)?.uses.filter(({ snapshot }) => snapshot === undefined) ?? [];
  if (uses.length === 0 || force) return;
  throw new VmdkError('refused', 'base-runs', 'a machine runs on this disk itself, and writes to it', {
    path,
    found: nameFew(uses.map(({ machine, node }) => `${machine} at ${node}`)),
    expected: 'a disk that is only read',
    hint: 'Take a snapshot of the machine first (vmdkit snapshot VM create NAME), so that it goes on in a delta; or pass --force.',
  });
}

function alreadyGuarded(path: string, found: string): VmdkError {
  return new VmdkError('refused', 'already-guarded', 'the disk is guarded already', {
    path,
    found,
    expected: 'no fingerprint',
    hint: 'Compare with it: vmdkit guard DISK --check. Record it anew with --set --force, if the disk is right as it is.',
  });
}

function baseChanged({ filename, changed, children, verdict }: GuardReport): VmdkError {
  const places = changed.map(({ start, count }: GuardRange) => `${start}+${count}`);
  const shown = children.filter(({ sectors }) => sectors > 0).map(({ path }) => path);
  const who = shown.length === 0 ? '' : `, shown by ${nameFew(shown)}`;
  return new VmdkError(
    'refused',
    'base-changed',
    'the contents of the base changed: its old CID would be a lie',
    {
      path: filename,
      found: `changes in sectors ${nameFew(places)}${who}`,
      expected: 'the contents that were recorded',
      hint:
        verdict === 'changed-unseen'
          ? 'Every disk above that was found has data of its own there: if these are all, --force puts the CID back. Else put the base back from a copy.'
          : 'Put the base back from a copy; or read the disks above with --accept-mismatch, and make full copies of those that are right.',
    },
  );
}

// From a request to everything that a run needs to know before it makes the first file: the source looked at, names
// and identities given out, the freeze planned. Rule: reads only, and refuses here what could fail later.
import { createHash, randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { expandNames, type CloneName } from '../operations/clone-names.ts';
import { findInto } from '../operations/clone-shape.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { assertNameFits, clonePart, type CloneParts, type ShapedClone } from './clone-parts.ts';
import { findCloneSource, type CloneSource, type SourceDisk } from './clone-source.ts';
import { vmxTemplate } from './clone-vmx.ts';
import { planFreeze, type FreezePlan } from './freeze-machine.ts';
import { givenMachine } from './given-identity.ts';
import { hostPathOf } from './host-path.ts';
import type { Machine } from './machine.ts';
import type { MachineCloneOptions, MachineCloneRequest } from './machine-clone-types.ts';
import { newIdentity, parseUuid, type CloneIdentity, type TakenIdentities } from './new-identity.ts';

export interface MachineShape {
  readonly store: FileStore;
  readonly request: MachineCloneRequest;
  readonly source: CloneSource;
  /** Real path. */
  readonly into: string;
  /** `into` is not there yet. */
  readonly isNew: boolean;
  readonly hint: 'relative' | 'absolute';
  readonly shaped: CloneParts;
  readonly entries: readonly CloneName[];
  readonly clones: readonly ShapedClone[];
  readonly freeze: FreezePlan | undefined;
  readonly random: RandomBytes;
  /** Equal for two runs of the same request. */
  readonly fingerprint: string;
}

/** Each has several files, all of which are laid out in memory before the first is made. */
const MOST_MACHINES = 10_000;
/** Larger than any that VMware writes. */
const MOST_COMPANION_BYTES = 4 * 1024 * 1024;

/** @throws VmdkError `usage`; what `findCloneSource` throws; `companion-too-large` (corrupt). */
export async function shapeMachineClones(
  request: MachineCloneRequest,
  options: MachineCloneOptions,
): Promise<MachineShape> {
  const store = storeFor(options.fs);
  const source = await findCloneSource(store, request, options);
  const { machine } = source;
  const entries = expandNames(request, stemOf(machine.path));
  if (entries.length > MOST_MACHINES) {
    throw usageError(
      `${entries.length} machines are asked for, at most ${MOST_MACHINES} are made in one go`,
      'Make them in several runs.',
    );
  }
  const { into, missingFolders } = await findInto(store, request.into, options);
  const hint = request.hint ?? 'relative';
  const random = options.random ?? randomBytes;
  // All clones lie equally deep, so that one name serves them all.
  const sample = posix.join(into, entries[0]!.name);
  const nameOf = (path: string): string =>
    (hint === 'absolute' ? hostPathOf(path, options.pathMap ?? []) : undefined) ??
    parentHintFor(hint, sample, path);
  const shaped = await shapeParts(store, source, request, nameOf, random);
  for (const { name } of entries) assertNameFits(shaped, name);
  const forkable = source.disks.filter((disk) => disk.forkable && disk.kind === 'linked');
  const freeze = request.freeze === true ? await planFreeze(store, machine, forkable, random) : undefined;
  return {
    store,
    request,
    source,
    into,
    isNew: missingFolders.length > 0,
    hint,
    shaped,
    entries,
    clones: shapeClones(machine, entries, random),
    freeze,
    random,
    fingerprint: fingerprintOf(request, source, into, entries),
  };
}

async function shapeParts(
  store: FileStore,
  source: CloneSource,
  request: MachineCloneRequest,
  nameOf: (path: string) => string,
  random: RandomBytes,
): Promise<CloneParts> {
  const { machine, disks, returned } = source;
  const part = { nameOf, type: request.type };
  const vmx = vmxTemplate(machine.vmx, machine.config, {
    media: request.media ?? 'keep',
    mediumPath: (name) => (isPlaceElsewhere(name) ? name : nameOf(posix.join(machine.folder, name))),
    dropped: disksWithout(machine, disks),
    returned,
  });
  const device = (node: string) => machine.config.devices.find((other) => other.node === node);
  return {
    parts: disks.map((disk, index) => clonePart(disk, index, device(disk.node), part, random)),
    vmx,
    cloneOf: request.full === true ? undefined : nameOf(machine.path),
    nvram: await companion(store, machine.nvramPath),
    vmxf: await companion(store, machine.vmxfPath),
  };
}

/** Places of disks that clones do not have, those of disks that the source has no more among them: their lines name its files. */
function disksWithout({ config }: Machine, disks: readonly SourceDisk[]): string[] {
  const cloned = new Set(disks.map(({ node }) => node));
  return config.devices
    .filter(({ kind, node }) => kind === 'disk' && !cloned.has(node))
    .map(({ node }) => node);
}

/** Absolute, on Windows, or in a datastore by name: the same from everywhere. */
function isPlaceElsewhere(name: string): boolean {
  return /^(?:\/|\\|\[|[a-z]:)/i.test(name);
}

function shapeClones(machine: Machine, entries: readonly CloneName[], random: RandomBytes): ShapedClone[] {
  const { ethernets } = machine.config;
  const cards = ethernets.filter(({ present }) => present).map(({ index }) => index);
  const taken = takenBy(machine);
  return entries.map((entry) => {
    const given = givenMachine(entry, cards);
    return { name: entry.name, given, identity: identityFor(entry.name, cards, given, taken, random) };
  });
}

/** In a list of a thousand names, an error has to say which one it means. */
function identityFor(name: string, ...identity: Parameters<typeof newIdentity>): CloneIdentity {
  try {
    return newIdentity(...identity);
  } catch (error) {
    if (!isVmdkError(error) || error.kind !== 'usage') throw error;
    const [what = ''] = error.message.split('\n');
    const { hint } = error.context;
    const context = hint === undefined ? {} : { hint };
    throw new VmdkError('usage', error.code, `${JSON.stringify(name)}: ${what}`, context, error);
  }
}

/** What the source has is no clone's. */
function takenBy({ config }: Machine): TakenIdentities {
  const { uuidBios, uuidLocation, ethernets } = config;
  const uuids = [uuidBios, uuidLocation].flatMap((text) => {
    try {
      return text === undefined ? [] : [parseUuid(text).toString('hex')];
    } catch {
      return [];
    }
  });
  const macs = ethernets.flatMap(({ address, generatedAddress }) =>
    [address ?? [], generatedAddress ?? []].flat(),
  );
  return { uuids: new Set(uuids), macs: new Set(macs.map((mac) => mac.toLowerCase())) };
}

async function companion(store: FileStore, path: string | undefined): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  const file = await store.open(path, 'read');
  try {
    const size = await file.size();
    if (size > MOST_COMPANION_BYTES) {
      throw new VmdkError('corrupt', 'companion-too-large', 'this file is too large for what its name says', {
        path,
        found: `${size} bytes`,
        expected: `at most ${MOST_COMPANION_BYTES}`,
        hint: 'Move it away if the machine can do without it.',
      });
    }
    const data = new Uint8Array(size);
    await file.readExactly(data, 0);
    return data;
  } finally {
    await file.close();
  }
}

function fingerprintOf(
  request: MachineCloneRequest,
  { machine, snapshot, disks }: CloneSource,
  into: string,
  entries: readonly CloneName[],
): string {
  const { full, hint, type, media, independent } = request;
  const identity = {
    machine: machine.path,
    uid: snapshot?.uid,
    // Not with a freeze: then the same command finds other disks the next time.
    disks: request.freeze === true ? [] : disks.map(({ base, kind }) => [base.path, base.cid, kind]),
    freeze: request.freeze === true,
    into,
    shape: { full, hint, type, media, independent },
    names: entries,
  };
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex');
}

function stemOf(vmxPath: string): string {
  return posix.basename(vmxPath).replace(/\.[^.]*$/, '');
}

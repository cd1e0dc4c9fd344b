// Signs that a chain was tampered with: numbers, times and names that contradict one another. Rule: each says what
// contradicts what, and what else may explain it; none is a proof.
import { basename } from 'node:path';
import type { Chain } from '../chain/chain.ts';
import type { Finding, Severity } from '../core/finding.ts';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import type { Disk } from '../disk/disk.ts';
import { NO_PARENT_CID, printCid } from '../format/content-id.ts';
import { extentBaseName } from '../format/extent-names.ts';
import { showText } from '../format/plain-text.ts';
import type { Snapshot } from '../format/vmsd.ts';
import type { FileStore } from '../storage/file-store.ts';

/** What is known of a link from outside of its files. */
export interface LinkHistory {
  /** The first snapshot that has this link as its disk. */
  readonly frozenBy?: Snapshot;
  /** The first snapshot that has the link below as its disk. */
  readonly begunBy?: Snapshot;
}

export interface SignsRequest {
  /** Opened with `acceptMismatch`, so that a chain that does not fit can be looked at. */
  readonly chain: Chain;
  /** By identity of the link. */
  readonly history?: ReadonlyMap<string, LinkHistory> | undefined;
}

/** Clocks of hosts and storage differ, and closing a file takes a while. */
const TOLERANCE = 120_000_000_000n;
const HOUR = 3_600_000_000_000n;

/** What opening finds, and what it proves. */
const OF_OPENING: ReadonlySet<string> = new Set(['CHAIN-CID', 'CHAIN-CAP', 'CHAIN-MIX', 'CHAIN-DEPTH']);

/** Signs in one chain, leaf first. Reads maps and times, no contents. */
export async function findSigns(store: FileStore, { chain, history }: SignsRequest): Promise<Finding[]> {
  const found: Finding[] = chain.findings.filter(({ code }) => OF_OPENING.has(code));
  for (const [depth, link] of chain.links.entries()) {
    const below = chain.links[depth + 1];
    const past = history?.get(link.identity) ?? {};
    found.push(
      ...(await contentIdSigns(link, below)),
      ...nameSigns(link, below),
      ...uuidSigns(link, below),
      ...stateSigns(link, depth, past),
      ...(await timeSigns(store, link, below, past)),
    );
  }
  return found;
}

/** Signs in the snapshots of a machine. */
export async function findSnapshotSigns(
  store: FileStore,
  vmsdPath: string,
  snapshots: readonly Snapshot[],
): Promise<Finding[]> {
  const found: Finding[] = [];
  const byUid = new Map(snapshots.map((snapshot) => [snapshot.uid, snapshot]));
  for (const snapshot of snapshots) {
    const { parentUid, createdMicros } = snapshot;
    const parent = parentUid === undefined ? undefined : byUid.get(parentUid);
    if (createdMicros === undefined || parent?.createdMicros === undefined) continue;
    if (createdMicros >= parent.createdMicros) continue;
    const message = `${named(snapshot)} is older than ${named(parent)}, which it was taken after: a clock was set back, or a time was written by hand`;
    found.push(sign('SIGN-SNAPSHOT-ORDER', 'warning', vmsdPath, message));
  }
  const times = snapshots.length === 0 ? undefined : await store.times?.(vmsdPath);
  for (const snapshot of times === undefined ? [] : snapshots) {
    const created = (snapshot.createdMicros ?? 0n) * 1000n;
    if (created <= times!.modified + TOLERANCE) continue;
    const message = `${named(snapshot)} is younger than the file that records it, last written ${iso(times!.modified)}: a time was written by hand, or the file's was set`;
    found.push(sign('SIGN-SNAPSHOT-FUTURE', 'warning', vmsdPath, message));
  }
  return found;
}

async function contentIdSigns(link: Disk, below: Disk | undefined): Promise<Finding[]> {
  const { cid, parentCid, ddb } = link.descriptor;
  const found: Finding[] = [];
  if (cid === undefined) return found;
  if (
    below !== undefined &&
    parentCid !== NO_PARENT_CID &&
    cid === below.descriptor.cid &&
    (await holdsAnything(link))
  ) {
    const message = `the delta has its parent's CID ${printCid(cid)} and yet holds data: VMware gives a new one before it writes; something else wrote, or the CID was put back`;
    found.push(sign('SIGN-CID-KEPT', 'warning', link.path, message));
  }
  const long = ddb.get('longContentID') ?? ddb.get('ddb.longContentID');
  if (long !== undefined && /^[0-9a-f]{32}$/i.test(long) && parseInt(long.slice(24), 16) !== cid) {
    const message = `longContentID ends in ${long.slice(24).toLowerCase()}, the CID is ${printCid(cid)}: the CID was written by hand or by a tool that knows no longContentID (vdiskmanager is one)`;
    found.push(sign('SIGN-LONG-CID', 'info', link.path, message));
  }
  return found;
}

async function holdsAnything(link: Disk): Promise<boolean> {
  for await (const runs of walkRuns(link, wholeOf(link))) {
    for (let index = 0; index < runs.length; index++) if (!runs.isAbsentAt(index)) return true;
  }
  return false;
}

function nameSigns(link: Disk, below: Disk | undefined): Finding[] {
  const found: Finding[] = [];
  const hint = link.descriptor.parentFileNameHint;
  const meant = hint === undefined ? undefined : basename(hint.replaceAll('\\', '/'));
  if (below !== undefined && meant !== undefined && meant !== basename(below.path)) {
    const message = `the hint names ${showText(meant)}, the disk with its CID is ${showText(basename(below.path))}: one of them was renamed`;
    found.push(sign('SIGN-NAME', 'info', link.path, message));
  }
  const stem = basename(link.path).replace(/\.vmdk$/i, '');
  for (const { line } of link.embedded ? [] : link.extents) {
    const name = line.fileName === undefined ? undefined : extentBaseName(line.fileName);
    if (name === undefined || name.startsWith(stem)) continue;
    const message = `the extent is ${showText(name)}, which is no name for an extent of ${showText(stem)}: the descriptor was renamed, or made for this extent later`;
    found.push(sign('SIGN-EXTENT-NAME', 'info', link.path, message));
    break;
  }
  return found;
}

function uuidSigns(link: Disk, below: Disk | undefined): Finding[] {
  const of = (disk: Disk): string | undefined =>
    disk.descriptor.ddb.get('uuid') ?? disk.descriptor.ddb.get('ddb.uuid');
  const [own, parents] = [of(link), below === undefined ? undefined : of(below)];
  if (own === undefined || parents === undefined || own === parents) return [];
  const message = `its uuid is ${showText(own)}, that of its parent ${showText(parents)}: they were not always one chain, or one of them was made anew`;
  return [sign('SIGN-UUID', 'info', link.path, message)];
}

function stateSigns(link: Disk, depth: number, { frozenBy }: LinkHistory): Finding[] {
  const found: Finding[] = [];
  const frozen = depth > 0 || frozenBy !== undefined;
  for (const { extent } of link.extents) {
    const unclean = extent.header['unclean-shutdown'] === true;
    const journal = extent.header['journal-to-replay'] === true;
    if (!frozen || (!unclean && !journal)) continue;
    const state = unclean ? 'was never closed by its last writer' : 'has a journal that was not replayed';
    const message = `it stands below a delta or a snapshot and ${state}: a snapshot closes the disk first; it was written since, or the host failed just then`;
    found.push(sign('SIGN-UNCLEAN', 'warning', extent.path ?? link.path, message));
  }
  return found;
}

async function timeSigns(
  store: FileStore,
  link: Disk,
  below: Disk | undefined,
  { frozenBy, begunBy }: LinkHistory,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const own = await lastWritten(store, link);
  if (own === undefined) return found;
  const frozen = nanosOf(frozenBy);
  if (frozen !== undefined && own.at > frozen + TOLERANCE) {
    const message = `${basename(own.path)} was last written ${iso(own.at)}, after ${named(frozenBy!)} froze it: it was changed since and its CID was not, or a copy did not keep its times`;
    found.push(sign('SIGN-WRITTEN-LATER', 'warning', own.path, message));
  }
  const begun = nanosOf(begunBy);
  if (begun !== undefined && own.at < begun - TOLERANCE) {
    const message = `${basename(own.path)} was last written ${iso(own.at)}, before ${named(begunBy!)}, with which it began: its times were set, or a clock was wrong`;
    found.push(sign('SIGN-WRITTEN-EARLIER', 'warning', own.path, message));
  }
  if (below !== undefined && frozen === undefined && begun === undefined) {
    const parents = await lastWritten(store, below);
    if (parents !== undefined && parents.at > own.at + TOLERANCE) {
      const message = `${basename(parents.path)} was last written ${iso(parents.at)}, later than the delta above it, ${iso(own.at)}: it was changed under it and its CID was not, or a copy did not keep the times`;
      found.push(sign('SIGN-PARENT-LATER', 'warning', parents.path, message));
    }
  }
  if (link.embedded || link.extents.every(({ extent }) => extent.path === undefined)) return found;
  const text = (await store.times?.(link.path))?.modified;
  const extents = await lastWritten(store, link, false);
  if (text !== undefined && extents !== undefined && text > extents.at + HOUR) {
    const message = `the descriptor was last written ${iso(text)}, its extents ${iso(extents.at)}: it was edited, or renamed, when nothing was written to the disk`;
    found.push(sign('SIGN-DESCRIPTOR-LATER', 'info', link.path, message));
  }
  return found;
}

/** The file of a link that was written last. */
async function lastWritten(
  store: FileStore,
  link: Disk,
  withText = true,
): Promise<{ path: string; at: bigint } | undefined> {
  const paths = new Set(link.extents.flatMap(({ extent }) => extent.path ?? []));
  if (withText) paths.add(link.path);
  let last: { path: string; at: bigint } | undefined;
  for (const path of paths) {
    const at = (await store.times?.(path))?.modified;
    if (at !== undefined && (last === undefined || at > last.at)) last = { path, at };
  }
  return last;
}

function nanosOf(snapshot: Snapshot | undefined): bigint | undefined {
  const micros = snapshot?.createdMicros;
  return micros === undefined || micros <= 0n ? undefined : micros * 1000n;
}

function named({ uid, displayName, createdAt }: Snapshot): string {
  return `snapshot uid:${uid} "${showText(displayName)}"${createdAt === undefined ? '' : ` of ${createdAt}`}`;
}

function iso(nanos: bigint): string {
  return new Date(Number(nanos / 1_000_000n)).toISOString();
}

function sign(code: string, severity: Severity, path: string, message: string): Finding {
  return { code, severity, message, path, repairable: false };
}

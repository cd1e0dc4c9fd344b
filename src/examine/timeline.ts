// Everything around disks that has a time, in one order: snapshots, files, lines of logs. Rule: each event says where its
// time comes from, since a file's time proves less than a snapshot's, and a log's less than nothing when it was edited.
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { printCid } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import { concernsDisks, readLogLine } from '../format/vmware-log.ts';
import type { Snapshot } from '../format/vmsd.ts';
import type { FileStore } from '../storage/file-store.ts';

export type EventKind = 'snapshot' | 'modified' | 'created' | 'log';

export interface TimelineEvent {
  /** Nanoseconds since the epoch. */
  readonly nanos: bigint;
  readonly kind: EventKind;
  /** Where the time stands: the .vmsd, the file itself, the log. */
  readonly path: string;
  readonly text: string;
  /** Of a log, counted from 1. */
  readonly line?: number;
}

/** A link, as far as a timeline tells of it. */
export interface TimelineLink {
  readonly path: string;
  readonly createType: string;
  readonly cid: number | undefined;
  readonly parentCid: number | undefined;
  /** The descriptor and every extent's file. */
  readonly files: readonly string[];
}

export interface TimelineRequest extends TaskOptions {
  readonly links: readonly TimelineLink[];
  readonly snapshots: readonly Snapshot[];
  /** Where the snapshots stand. */
  readonly vmsdPath?: string | undefined;
  /** Other files whose times count: the .vmx, the .vmsd. */
  readonly files: readonly string[];
  readonly logs: readonly string[];
  /** Every line of the logs; else those that tell of disks, snapshots and power. */
  readonly wholeLogs?: boolean | undefined;
}

export interface Timeline {
  readonly events: readonly TimelineEvent[];
  /** What has no place: lines without a whole time, logs that are too long, files that are gone. */
  readonly notes: readonly string[];
}

/** Bytes of a log that are read, and events that are kept of all. */
const LONGEST_LOG = 256 << 20;
const MOST_EVENTS = 500_000;
const STEP = 1 << 20;
/** A line that is longer is cut. */
const LONGEST_LINE = 4096;
const ORDER: readonly EventKind[] = ['created', 'snapshot', 'log', 'modified'];

export async function readTimeline(store: FileStore, request: TimelineRequest): Promise<Timeline> {
  const events: TimelineEvent[] = [];
  const notes: string[] = [];
  for (const snapshot of request.snapshots) {
    const { createdMicros } = snapshot;
    const text = snapshotText(snapshot);
    if (createdMicros === undefined || createdMicros <= 0n) notes.push(`${text}: without a time`);
    else events.push({ nanos: createdMicros * 1000n, kind: 'snapshot', path: request.vmsdPath ?? '', text });
  }
  const roles = new Map<string, string>(request.files.map((path) => [path, '']));
  for (const link of request.links) {
    for (const path of link.files) {
      const role = path === link.path ? linkText(link) : `extent of ${baseName(link.path)}`;
      if (!roles.has(path) || roles.get(path) === '') roles.set(path, role);
    }
  }
  for (const [path, role] of roles) {
    throwIfAborted(request);
    await addFile(store, path, role, events, notes);
  }
  for (const path of request.logs) await addLog(store, path, request, events, notes);
  events.sort(
    (a, b) =>
      (a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0) ||
      ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) ||
      (a.line ?? 0) - (b.line ?? 0),
  );
  return { events, notes };
}

function snapshotText({ uid, parentUid, displayName, type }: Snapshot): string {
  const from = parentUid === undefined ? '' : `, after uid:${parentUid}`;
  const memory = type !== undefined && type !== '0' ? ', with memory' : '';
  return `snapshot uid:${uid} "${showText(displayName)}"${from}${memory}`;
}

function linkText({ createType, cid, parentCid }: TimelineLink): string {
  const own = cid === undefined ? 'no CID' : `CID ${printCid(cid)}`;
  const over = parentCid === undefined || parentCid === 0xffffffff ? '' : ` over ${printCid(parentCid)}`;
  return `${createType}, ${own}${over}`;
}

async function addFile(
  store: FileStore,
  path: string,
  role: string,
  events: TimelineEvent[],
  notes: string[],
): Promise<void> {
  try {
    const times = await store.times?.(path);
    const said = role === '' ? '' : `: ${role}`;
    const modified = times?.modified ?? BigInt(Math.round((await store.resolve(path)).modified * 1e6));
    events.push({
      nanos: modified,
      kind: 'modified',
      path,
      text: `${baseName(path)} was last written${said}`,
    });
    if (times?.created !== undefined) {
      const text = `${baseName(path)} came to this file system${said}`;
      events.push({ nanos: times.created, kind: 'created', path, text });
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    notes.push(error.message.split('\n')[0]!);
  }
}

async function addLog(
  store: FileStore,
  path: string,
  request: TimelineRequest,
  events: TimelineEvent[],
  notes: string[],
): Promise<void> {
  let [undated, line] = [0, 0];
  for await (const text of linesOf(store, path, request)) {
    line++;
    const entry = readLogLine(text);
    if (entry === undefined) continue;
    if (entry.nanos === undefined) {
      undated++;
      continue;
    }
    if (request.wholeLogs !== true && !concernsDisks(entry.text)) continue;
    if (events.length >= MOST_EVENTS) {
      notes.push(`${path}: lines from ${line} on are left out: there are too many`);
      return;
    }
    events.push({ nanos: entry.nanos, kind: 'log', path, line, text: showText(entry.text) });
  }
  if (undated > 0) notes.push(`${path}: ${undated} lines have no year or zone, and so no place`);
}

/** Lines of up to LONGEST_LOG bytes; text of another encoding than UTF-8 stays legible where it is ASCII. */
async function* linesOf(store: FileStore, path: string, task: TaskOptions): AsyncGenerator<string> {
  const file = await store.open(path, 'read');
  try {
    const size = Math.min(await file.size(), LONGEST_LOG);
    const decoder = new TextDecoder();
    let rest = '';
    for (let at = 0; at < size; at += STEP) {
      throwIfAborted(task);
      const bytes = Buffer.alloc(Math.min(STEP, size - at));
      await file.readExactly(bytes, at);
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const line of lines) yield line.slice(0, LONGEST_LINE);
    }
    if (rest !== '') yield rest;
  } finally {
    await file.close();
  }
}

function baseName(path: string): string {
  return showText(path.slice(path.lastIndexOf('/') + 1));
}

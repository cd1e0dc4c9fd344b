// `vmdkit timeline`: snapshots, links, files and logs of a machine or a disk, in one order, each with where its time
// stands.
import { basename, dirname, join } from 'node:path';
import { openChain } from '../../chain/open-chain.ts';
import type { ChainOptions } from '../../chain/chain-options.ts';
import { isVmdkError } from '../../core/errors.ts';
import { readTimeline, type TimelineEvent, type TimelineLink } from '../../examine/timeline.ts';
import type { Snapshot } from '../../format/vmsd.ts';
import type { Machine } from '../../machine/machine.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { isoNanos } from '../evidence-record.ts';
import { EXIT } from '../failure.ts';
import { machineOf } from '../link-times.ts';
import { nodeOf, pointDisks, type PointDisk } from '../points.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('VM_OR_DISK');
  const options = await chainOptionsOf(args, context);
  const machine = await machineOf(path, options, context);
  const [at, node] = [args.text('at'), args.text('disk')];
  const all = at === undefined && node === undefined;
  const { links, snapshots } = all
    ? await everything(machine, path, options)
    : await stateAt(machine, await pointDisks({ path, at, node }, options, context), options);
  const folder = machine?.folder ?? dirname((await context.store.resolve(path)).path);
  const files =
    machine === undefined ? [] : [machine.path, ...(machine.vmsd === undefined ? [] : [machine.vmsdPath])];
  const { events, notes } = await readTimeline(context.store, {
    links,
    snapshots,
    vmsdPath: machine?.vmsdPath,
    files,
    logs: await logsIn(folder, context),
    wholeLogs: args.flag('whole-logs'),
    signal: context.signal,
  });
  if (context.format === 'human') {
    const lines = events.map(({ nanos, kind, text, path: file, line }) => {
      const where = kind === 'log' ? `  (${basename(file)}, line ${line})` : '';
      return `${isoNanos(nanos).padEnd(30)}  ${kind.padEnd(8)}  ${text}${where}\n`;
    });
    await context.stdout.write(lines.join(''));
    for (const note of notes) context.warn(note);
  } else if (context.format === 'ndjson') {
    for (const event of events) await context.printJson(eventJson(event));
  } else {
    const from = machine === undefined ? {} : { machine: machine.path };
    await context.printJson({
      schema: 'vmdkit-timeline/v1',
      ...from,
      events: events.map(eventJson),
      notes,
    });
  }
  return EXIT.done;
};

function eventJson({ nanos, kind, path, text, line }: TimelineEvent) {
  return { time: isoNanos(nanos), kind, filename: path, ...(line === undefined ? {} : { line }), text };
}

interface History {
  readonly links: readonly TimelineLink[];
  readonly snapshots: readonly Snapshot[];
}

async function everything(
  machine: Machine | undefined,
  path: string,
  options: ChainOptions,
): Promise<History> {
  if (machine === undefined) return { links: await chainLinks(path, options), snapshots: [] };
  return { links: machineLinks(machine), snapshots: machine.snapshots.snapshots };
}

/**
 * What these disks read as is in these links, and the snapshots that led there are those whose own disks are among them.
 * Nothing is left out for its time: a link that was written after the snapshot that froze it is what one looks for.
 */
async function stateAt(
  machine: Machine | undefined,
  disks: readonly PointDisk[],
  options: ChainOptions,
): Promise<History> {
  const links = new Map<string, ChainLink>();
  const nodes = new Set<string>();
  for (const { path, node } of disks) {
    const own = await chainLinks(path, options);
    for (const link of own) links.set(link.identity, link);
    const found = node ?? (machine === undefined ? undefined : nodeOf(machine, own[0]!.identity));
    if (found !== undefined) nodes.add(found);
  }
  const snapshots = (machine?.snapshots.snapshots ?? []).filter(({ uid }) => {
    const then = (machine!.snapshotDisks.get(uid) ?? []).filter((disk) => nodes.has(disk.node));
    return then.length > 0 && then.every((disk) => links.has(disk.links[0]?.identity ?? ''));
  });
  return { links: [...links.values()], snapshots };
}

/** Each link once, in the order in which disks name them. */
function machineLinks(machine: Machine): TimelineLink[] {
  const all = [machine.disks, ...machine.snapshotDisks.values()].flat().flatMap(({ links }) => links);
  return [...new Map(all.map((link) => [link.identity, link])).values()];
}

interface ChainLink extends TimelineLink {
  readonly identity: string;
}

async function chainLinks(path: string, options: ChainOptions): Promise<ChainLink[]> {
  const chain = await openChain(path, 'read', { ...options, damaged: 'open' });
  try {
    return chain.links.map(
      ({ path: own, identity, createType, descriptor: { cid, parentCid }, extents }) => ({
        path: own,
        identity,
        createType,
        cid,
        parentCid,
        files: [...new Set([own, ...extents.flatMap(({ extent }) => extent.path ?? [])])],
      }),
    );
  } finally {
    await chain.close();
  }
}

/** `vmware.log`, `vmware-0.log` and so on, and the log of a clone under its own name. */
async function logsIn(folder: string, context: CommandContext): Promise<string[]> {
  try {
    const names = await context.store.list(folder);
    return names
      .filter((name) => /^vmware(?:-\d+)?\.log$/i.test(name))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    context.warn(`${shownPath(folder)}: ${error.message.split('\n')[0]!}`);
    return [];
  }
}

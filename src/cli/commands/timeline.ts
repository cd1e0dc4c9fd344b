// `vmdkit timeline`: snapshots, links, files and logs of a machine or a disk, in one order, each with where its time
// stands.
import { basename, dirname, join } from 'node:path';
import { openChain } from '../../chain/open-chain.ts';
import type { ChainOptions } from '../../chain/chain-options.ts';
import { isVmdkError } from '../../core/errors.ts';
import { readTimeline, type TimelineEvent, type TimelineLink } from '../../examine/timeline.ts';
import type { Machine } from '../../machine/machine.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { isoNanos } from '../evidence-record.ts';
import { EXIT } from '../failure.ts';
import { machineOf } from '../link-times.ts';
import { shownPath } from '../shown-path.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('VM_OR_DISK');
  const options = await chainOptionsOf(args, context);
  const machine = await machineOf(path, options, context);
  const links = machine === undefined ? await chainLinks(path, options) : machineLinks(machine);
  const folder = machine?.folder ?? dirname((await context.store.resolve(path)).path);
  const files =
    machine === undefined ? [] : [machine.path, ...(machine.vmsd === undefined ? [] : [machine.vmsdPath])];
  const { events, notes } = await readTimeline(context.store, {
    links,
    snapshots: machine?.snapshots.snapshots ?? [],
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

/** Each link once, in the order in which disks name them. */
function machineLinks(machine: Machine): TimelineLink[] {
  const all = [machine.disks, ...machine.snapshotDisks.values()].flat().flatMap(({ links }) => links);
  return [...new Map(all.map((link) => [link.identity, link])).values()];
}

async function chainLinks(path: string, options: ChainOptions): Promise<TimelineLink[]> {
  const chain = await openChain(path, 'read', { ...options, damaged: 'open' });
  try {
    return chain.links.map(({ path: own, createType, descriptor: { cid, parentCid }, extents }) => ({
      path: own,
      createType,
      cid,
      parentCid,
      files: [...new Set([own, ...extents.flatMap(({ extent }) => extent.path ?? [])])],
    }));
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

// `vmdkit scan`: the forest of disks and machines below folders, and questions about one disk or machine in it.
import { posix } from 'node:path';
import type { ChainOptions } from '../../chain/chain-options.ts';
import { usageError, VmdkError } from '../../core/errors.ts';
import type { Forest } from '../../machine/forest.ts';
import { scanFolder } from '../../machine/scan-folder.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural } from '../numbers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const options = await chainOptionsOf(args, context);
  const disk = args.text('who-uses');
  const machine = args.text('is-clone');
  if (disk !== undefined && machine !== undefined) {
    throw usageError('scan: --who-uses and --is-clone are two questions: ask one at a time');
  }
  const question = disk !== undefined ? '--who-uses' : '--is-clone';
  if ((disk ?? machine) !== undefined) {
    for (const name of ['format', 'rebuild-register'])
      if (args.texts(name).length > 0) throw usageError(`scan: --${name} does not go with ${question}`);
  }
  if (disk !== undefined) return whoUses(disk, args, options, context);
  if (machine !== undefined) return isClone(machine, args, options, context);
  const folders = args.operands('DIR');
  if (folders.length === 0) throw usageError('scan needs DIR', 'For example: vmdkit scan /mnt/ds1');
  const forest = await context.withProgress((task) => scanFolder(folders, { ...options, ...task }));
  await print(forest, args.text('format'), context);
  if (args.flag('rebuild-register')) await rebuild(forest, context);
  return EXIT.done;
};

async function print(forest: Forest, format: string | undefined, context: CommandContext): Promise<void> {
  if (format === 'dot' || format === 'mermaid') {
    const { forestAsDot, forestAsMermaid } = await import('../../machine/forest-graph.ts');
    await context.stdout.write(format === 'dot' ? forestAsDot(forest) : forestAsMermaid(forest));
  } else if (format === 'svg') {
    const { forestAsSvg } = await import('../../machine/forest-svg.ts');
    const { sizeText } = await import('../numbers.ts');
    await context.stdout.write(forestAsSvg(forest, sizeText));
  } else if (format === 'json' || context.format === 'json') {
    const { scanReport } = await import('../../machine/forest-report.ts');
    await context.printJson(scanReport(forest));
  } else if (context.format === 'ndjson') await printRecords(forest, context);
  else {
    const { forestText } = await import('../forest-text.ts');
    for (const line of forestText(forest, context.stdout.paint, context.verbose))
      await context.stdout.line(line);
  }
}

/** A line for each thing found, and the totals. */
async function printRecords(forest: Forest, context: CommandContext): Promise<void> {
  const { scanReport } = await import('../../machine/forest-report.ts');
  const report = scanReport(forest);
  const schema = 'vmdkit-scan-record/v1';
  const print = async (record: string, items: readonly object[]): Promise<void> => {
    for (const item of items) await context.printJson({ schema, record, ...item });
  };
  await print('disk', report.disks);
  await print('machine', report.machines);
  await print('orphan', report.orphans);
  await print('broken-hint', report['broken-hints']);
  await print('changed-base', report['changed-bases']);
  await print('long-chain', report['long-chains']);
  await print('finding', report.findings);
  await print('skipped', report.skipped);
  await print('totals', [{ ...report.totals, complete: report.complete }]);
}

async function rebuild(forest: Forest, context: CommandContext): Promise<void> {
  const { rebuildRegisters } = await import('../../machine/sharers.ts');
  const { written, notes } = await rebuildRegisters(context.store, forest);
  for (const note of notes) context.warn(note);
  context.talk(`wrote ${plural(written.length, 'register')} of who stands on what`);
}

async function whoUses(
  disk: string,
  args: Arguments,
  options: ChainOptions,
  context: CommandContext,
): Promise<number> {
  const { findSharers } = await import('../../machine/sharers.ts');
  const { allow, confine, pathMap } = options;
  const sharers = await context.withProgress((task) =>
    findSharers(context.store, disk, { allow, confine, pathMap, scan: args.operands('DIR'), ...task }),
  );
  for (const note of sharers.notes) context.warn(note);
  const { path, disks, machines, unconfirmed, forest } = sharers;
  if (sharers.disk === undefined && posix.isAbsolute(path)) throw noDisk(path, forest);
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-who-uses/v1',
      filename: path,
      disks: disks.map((each) => ({
        filename: each.path,
        parent: each.parent,
        'parent-fits': each.fits,
        machines: each.machines,
      })),
      machines: machines.map((machine) => ({ filename: machine, name: nameOf(forest, machine) })),
      unconfirmed: unconfirmed.map((each) => ({ filename: each.path, reason: each.reason })),
      complete: forest.complete,
    });
    return EXIT.done;
  }
  const { shownPath } = await import('../shown-path.ts');
  const { legible } = await import('../legible.ts');
  for (const machine of machines)
    await context.stdout.line(`machine ${legible(nameOf(forest, machine))}  ${shownPath(machine)}`);
  for (const each of disks) {
    const stale = each.fits === false ? '  (its CID does not fit any more)' : '';
    await context.stdout.line(`disk ${shownPath(each.path)}${stale}`);
  }
  for (const each of unconfirmed)
    await context.stdout.line(`perhaps ${shownPath(each.path)}  (registered; ${each.reason})`);
  if (disks.length + machines.length + unconfirmed.length === 0) {
    context.talk(`nothing found here uses ${shownPath(path)}`);
  }
  return EXIT.done;
}

/** "Nobody" about what is no disk would be taken for leave to delete it. */
function noDisk(path: string, { disks, machines }: Forest): VmdkError {
  const owner = disks.find(({ files }) => files.includes(path));
  const machine = machines.find((each) => each.path === path);
  const named = machine?.disks.flatMap((disk) => disk.path ?? []) ?? [];
  return new VmdkError('corrupt', 'not-a-vmdk', '--who-uses asks about a disk, and this is none', {
    path,
    found:
      owner !== undefined
        ? 'an extent'
        : machine !== undefined
          ? 'a machine'
          : 'no descriptor that can be read',
    expected: 'the descriptor of a disk',
    ...(owner !== undefined
      ? { hint: `Ask for the disk that it is part of: ${owner.path}` }
      : named.length > 0
        ? { hint: `Ask for a disk of the machine: ${named.join(', ')}` }
        : {}),
  });
}

function nameOf({ machines }: Forest, path: string): string {
  return machines.find((machine) => machine.path === path)?.name ?? posix.basename(path);
}

async function isClone(
  machine: string,
  args: Arguments,
  options: ChainOptions,
  context: CommandContext,
): Promise<number> {
  if (!/\.(vmx|vmtx)$/i.test(machine)) {
    throw usageError(`--is-clone: "${machine}" is no machine`, 'Name its .vmx: --is-clone lab-01/lab-01.vmx');
  }
  const { isLinkedClone } = await import('../../machine/forest-queries.ts');
  const { scanPlaces } = await import('../../machine/scan-folder.ts');
  const { openContext } = await import('../../disk/open-options.ts');
  const place = await openContext(options).guard.assertNamedAllowed(machine);
  const roots = [
    { path: posix.dirname(place.path), depth: 1 },
    ...args.operands('DIR').map((path) => ({ path })),
  ];
  const forest = await context.withProgress((task) => scanPlaces(roots, [], { ...options, ...task }));
  const answer = isLinkedClone(forest, place.path);
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-is-clone/v1',
      filename: place.path,
      name: answer.machine.name,
      'linked-clone': answer.linkedClone,
      reasons: answer.reasons,
      'shared-disks': answer.machine.sharedDisks,
      'clone-of': answer.machine.cloneOf,
    });
  } else if (answer.linkedClone) {
    const { legible } = await import('../legible.ts');
    await context.stdout.line('yes, a linked clone:');
    for (const reason of answer.reasons) await context.stdout.line(`  ${legible(reason)}`);
  } else await context.stdout.line('no: all its disks are its own');
  return answer.linkedClone ? EXIT.done : EXIT.no;
}

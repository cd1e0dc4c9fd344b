// `vmdkit serve`: disks for other programs, until a signal or the end of the command that runs beside.
import { usageError } from '../../core/errors.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { runBeside } from '../../serve/exec-command.ts';
import { openExports } from '../../serve/exports.ts';
import type { ExportSet, ServeOptions } from '../../serve/export-types.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { EXIT } from '../failure.ts';
import { plural } from '../numbers.ts';
import { startNbd } from '../serve-nbd.ts';
import { servedPoints } from '../serve-points.ts';
import { sayReady, type RunningServer } from '../serve-report.ts';
import { refuseToBreakSharers } from '../sharers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const writing = writingOf(args);
  const options = await chainOptionsOf(args, context);
  const { points, machines } = await servedPoints(
    args.operands('DISK'),
    writing.write === true,
    options,
    context,
  );
  if (writing.write === true) {
    for (const { path, frozen } of points) {
      if (frozen !== true) await refuseToBreakSharers(path, 'writing to this disk', options, context);
    }
  }
  const exports = await openExports(points, { ...options, ...writing, lockAlso: machines });
  try {
    for (const { point, error } of exports.problems)
      context.warn(`${point.name ?? point.path}: ${error.message}`);
    return await serve(exports, args, context);
  } finally {
    await exports.close();
  }
};

/** What may be written, and where to. */
function writingOf(
  args: Arguments,
): Pick<ServeOptions, 'write' | 'overlay' | 'locked' | 'dropChangeTracking'> {
  const overlay = args.text('overlay');
  const write = args.flag('write');
  if (write && overlay !== undefined) {
    throw usageError(
      '--write and --overlay do not go together',
      'An overlay keeps the disk from being written.',
    );
  }
  if (overlay !== undefined && overlay !== 'temporary' && args.operands('DISK').length > 1) {
    throw usageError('--overlay FILE goes with one DISK', '--overlay temporary makes one for each.');
  }
  return {
    write,
    overlay: overlay === undefined || overlay === 'temporary' ? overlay : { file: overlay },
    locked: args.text('locked') === 'ignore' ? 'ignore' : 'refuse',
    dropChangeTracking: args.flag('drop-change-tracking'),
  };
}

async function serve(exports: ExportSet, args: Arguments, context: CommandContext): Promise<number> {
  const servers: RunningServer[] = [];
  const command = args.text('exec');
  try {
    const http = args.text('http');
    // Without a word on either, it is NBD.
    if (args.text('nbd') !== undefined || http === undefined) {
      servers.push(await startNbd(exports, args, context));
    }
    if (http !== undefined) {
      const { startHttp } = await import('../serve-http.ts');
      servers.push(await startHttp(exports, http, args, context));
    }
    if (command !== undefined) {
      // What both have, the first one says.
      const variables = Object.assign({}, ...servers.map((server) => server.variables).reverse()) as Record<
        string,
        string
      >;
      return await runBeside(command, variables, context.signal);
    }
    await sayReady(exports, servers, context);
    if (context.format === 'human') {
      const count = plural(exports.exports.length, 'export');
      context.talk(`Serving ${count}, the first by default. Ctrl-C ends it.`);
    }
    await untilAborted(context.signal);
    return EXIT.done;
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

// The command line: reads the arguments, loads the one command that is asked for, runs it, and turns whatever happens
// into an exit code. Rule: nothing here knows what a command does.
import { createRequire } from 'node:module';
import { isVmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createNodeFileStore } from '../storage/node-file-store.ts';
import { parseCommandLine } from './arguments.ts';
import type { Arguments } from './parsed-arguments.ts';
import type { CommandDeclaration } from './command.ts';
import { COMMANDS } from './commands.ts';
import type { CommandModule } from './command-module.ts';
import type { CommandContext } from './context.ts';
import { describeFailure, EXIT, exitCodeOf } from './failure.ts';
import { assertFileWords } from './file-words.ts';
import { catchSignals, InterruptedError } from './interruption.ts';
import { legible } from './legible.ts';
import { createOutput, OutputClosedError, paintFor } from './output.ts';
import type { Streams } from './streams.ts';

/** Runs one command line and resolves to its exit code. Never rejects. */
export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  const { stderr } = streams;
  const controller = new AbortController();
  const signals = catchSignals(controller);
  // Until the arguments are understood, only their plain words can say how errors are wanted.
  let style = { json: asksForJson(argv), verbose: false, paint: paintFor(stderr, 'auto') };
  try {
    const { command, args } = parseCommandLine(withHelpOption(argv), COMMANDS);
    const origins = command?.opensDisks === true ? args.texts('allow-origin') : [];
    const store = await createStore(args, origins, controller.signal);
    const context = createContext(args, store, controller, streams);
    style = { json: context.format !== 'human', verbose: context.verbose, paint: context.paint };
    if (args.flag('version')) return await printVersion(context);
    if (command === undefined || args.flag('help')) {
      const { commandHelp, generalHelp } = await import('./help.ts');
      const asked = args.flag('help');
      const { paint } = asked ? context.stdout : context;
      const text = command === undefined ? generalHelp(COMMANDS, paint) : commandHelp(command, paint);
      if (asked) await context.stdout.write(text);
      else stderr.write(text);
      return asked ? EXIT.done : EXIT.usage;
    }
    await assertFileWords(command, args, store);
    const module = await command.load();
    if (!isExamination(command, args)) return await runNow(module, args, context);
    const { runOnEvidence } = await import('./run-on-evidence.ts');
    return await runOnEvidence({ command, module, args, argv }, context);
  } catch (error) {
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : error;
    // All is cleaned up by now; output that a stuck reader does not take must not keep the process alive.
    if (reason instanceof InterruptedError) process.exit(reason.exitCode);
    if (reason instanceof OutputClosedError) return EXIT.done;
    const failure = isVmdkError(reason) ? reason : error;
    stderr.write(describeFailure(failure, style));
    return exitCodeOf(failure);
  } finally {
    signals.dispose();
  }
}

async function runNow(module: CommandModule, args: Arguments, context: CommandContext): Promise<number> {
  try {
    return await module.run(args, context);
  } catch (error) {
    if (!context.signal.aborted && isVmdkError(error) && error.kind === 'missing') {
      const { warnOfMoved } = await import('./interrupted.ts');
      await warnOfMoved(error, context);
    }
    throw error;
  }
}

/** `help info` is what many tools know: the same as `info --help`. */
function withHelpOption([first, ...rest]: readonly string[]): readonly string[] {
  if (first === 'help') return [...rest, '--help'];
  return first === undefined ? [] : [first, ...rest];
}

function isExamination({ evidence }: CommandDeclaration, args: Arguments): boolean {
  if (evidence !== 'offered') return evidence === 'always';
  return args.flag('evidence') || args.text('manifest') !== undefined;
}

/** The real files, and what lies below `origins`. */
async function createStore(
  args: Arguments,
  origins: readonly string[],
  signal: AbortSignal,
): Promise<FileStore> {
  const fs = createNodeFileStore({ native: !args.flag('no-native'), lookUps: 'sync' });
  if (origins.length === 0) return fs;
  const { createRemoteFileStore } = await import('../storage/remote-file-store.ts');
  return createRemoteFileStore({ allowOrigins: origins, fs, signal });
}

function createContext(
  args: Arguments,
  store: FileStore,
  controller: AbortController,
  streams: Streams,
): CommandContext {
  const { stderr } = streams;
  const quiet = args.flag('quiet');
  const stdin = (): Streams['stdin'] => {
    const input = streams.stdin;
    // Whoever waits for input hears of a signal by its end, whenever the signal came.
    const leave = (): void => void input.destroy();
    if (controller.signal.aborted) leave();
    else controller.signal.addEventListener('abort', leave, { once: true });
    return input;
  };
  const verbose = args.flag('verbose');
  const color = choice(args, 'color', ['auto', 'always', 'never'] as const);
  const format = args.flag('json') ? 'json' : choice(args, 'output', ['human', 'json', 'ndjson'] as const);
  const stdout = createOutput(streams.stdout, color, controller);
  const paint = paintFor(stderr, color);
  const say = (text: string): void => void stderr.write(`${text}\n`);
  return {
    commands: COMMANDS,
    format,
    quiet,
    verbose,
    force: args.flag('force'),
    signal: controller.signal,
    stdout,
    stdin,
    store,
    outputs: store,
    version: readVersion,
    onEvidence: false,
    paint,
    talk: (text) => (quiet ? undefined : say(legible(text))),
    warn: (text) => (quiet ? undefined : say(`vmdkit: ${paint('yellow', 'warning:')} ${legible(text)}`)),
    withProgress: (work) => withProgress(args, controller.signal, quiet, stderr, work),
    printJson: (value) => stdout.line(JSON.stringify(value, undefined, format === 'json' ? 2 : undefined)),
  };
}

async function withProgress<T>(
  args: Arguments,
  signal: AbortSignal,
  quiet: boolean,
  stderr: Streams['stderr'],
  work: (task: TaskOptions) => Promise<T>,
): Promise<T> {
  const mode = choice(args, 'progress', ['auto', 'always', 'never', 'json'] as const);
  if (mode === 'never' || (mode === 'auto' && quiet)) return work({ signal });
  const { barView, lineView } = await import('./progress.ts');
  const lines = mode === 'json' ? 'json' : mode === 'always' ? 'eager' : 'lines';
  const asBar = stderr.isTTY === true && mode !== 'json';
  const view = asBar ? await barView(stderr) : lineView(stderr, lines);
  try {
    return await work({ signal, onProgress: (progress) => view.show(progress) });
  } finally {
    view.end();
  }
}

/** The value of an option with choices; the first choice when it is not given. */
function choice<const T extends string>(args: Arguments, name: string, choices: readonly [T, ...T[]]): T {
  const given = args.text(name);
  return choices.find((value) => value === given) ?? choices[0];
}

async function printVersion(context: CommandContext): Promise<number> {
  await context.stdout.line(await context.version());
  return EXIT.done;
}

/** Here, and not in a file of its own: the bundle keeps this one at its place below package.json. */
function readVersion(): Promise<string> {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  return Promise.resolve(version);
}

function asksForJson(argv: readonly string[]): boolean {
  return argv.some((word, index) => {
    if (word === '--json' || word === '--output=json' || word === '--output=ndjson') return true;
    return /^(?:nd)?json$/.test(word) && argv[index - 1] === '--output';
  });
}

// What a command has around it: where results and talk go, how much of each, when to stop. Rule: stdout is data,
// stderr is talk, and a command never touches `process`.
import type { TaskOptions } from '../core/task.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { CommandDeclaration } from './command.ts';
import type { Output, Paint } from './output.ts';
import type { InputStream } from './streams.ts';

export type OutputFormat = 'human' | 'json' | 'ndjson';

export interface CommandContext {
  /** Every command there is: for help and completion. */
  readonly commands: readonly CommandDeclaration[];
  readonly format: OutputFormat;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly force: boolean;
  /** Aborted by a signal, or when nobody reads the output any more. */
  readonly signal: AbortSignal;
  readonly stdout: Output;
  /** Opens it: a pipe no longer blocks then, for none of those who share it, so only a command that reads it asks. */
  readonly stdin: () => InputStream;
  /** The real file system, with or without natives, and what --allow-origin allows; of evidence, one that cannot write. */
  readonly store: FileStore;
  /** Which vmdkit this is. */
  version(): Promise<string>;
  /** Where results are written: the same store, unless what is read is evidence. */
  readonly outputs: FileStore;
  /** What is read is evidence: nothing beside it may be written. */
  readonly onEvidence: boolean;
  /** Colours for text that goes to `talk`. */
  readonly paint: Paint;
  /** A line on stderr; nothing with --quiet. */
  talk(text: string): void;
  /** Something is odd, yet the work goes on: a line on stderr; nothing with --quiet. */
  warn(text: string): void;
  /** Runs `work` with the signal and with progress shown as asked for; what was drawn is cleared however it ends. */
  withProgress<T>(work: (task: TaskOptions) => Promise<T>): Promise<T>;
  /** One JSON document on stdout: indented with --output json, one line with ndjson. */
  printJson(value: unknown): Promise<void>;
}

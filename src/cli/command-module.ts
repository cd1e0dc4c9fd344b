// The working half of a command: what runs once the line is understood.
import type { CommandDeclaration } from './command.ts';
import type { CommandContext } from './context.ts';
import type { Arguments } from './parsed-arguments.ts';

export interface CommandModule {
  /** Does the work; resolves to the exit code. */
  run(args: Arguments, context: CommandContext): Promise<number>;
}

/** A command with the way to its module. */
export interface CommandSpec extends CommandDeclaration {
  load(): Promise<CommandModule>;
}

// `vmdkit completion`: prints a script that teaches a shell our commands and options.
import { usageError } from '../../core/errors.ts';
import type { CommandModule } from '../command-module.ts';
import { completionScript, SHELLS } from '../completion-scripts.ts';
import { EXIT } from '../failure.ts';
import { nearest } from '../suggest.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const asked = args.optionalOperand('SHELL') ?? 'bash';
  const shell = SHELLS.find((name) => name === asked);
  if (shell === undefined) {
    const meant = nearest(asked, SHELLS);
    throw usageError(
      `completion: "${asked}" is none of ${SHELLS.join(', ')}`,
      meant === undefined ? undefined : `Did you mean ${meant}?`,
    );
  }
  await context.stdout.write(completionScript(shell, context.commands));
  return EXIT.done;
};

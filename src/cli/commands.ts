// Every command, declared. A new one is an entry here and a file in commands/; help, completion and the table in the
// README follow.
import type { CommandSpec } from './command.ts';

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'completion',
    summary: 'a script that teaches your shell the commands and options: bash (default), zsh or fish',
    operands: [{ name: 'SHELL', optional: true }],
    examples: ['source <(vmdkit completion bash)'],
    load: () => import('./commands/completion.ts'),
  },
];

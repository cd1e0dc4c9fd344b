// A command that runs beside a server, and for as long as which the server serves.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { VmdkError } from '../core/errors.ts';

/** A shell's exit code for what a signal ended. */
const BY_SIGNAL = 128;

/**
 * Runs `command` by the shell, with our own input and output and `variables` in its environment; resolves to its exit
 * code. An abort asks it to end.
 * @throws VmdkError `cannot-run` when there is no shell.
 */
export function runBeside(
  command: string,
  variables: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, { shell: true, stdio: 'inherit', env: { ...process.env, ...variables } });
    const stop = (): void => void child.kill('SIGTERM');
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', (error) => {
      signal.removeEventListener('abort', stop);
      const context = { path: command, found: error.message };
      reject(new VmdkError('io', 'cannot-run', 'the command cannot be run', context, error));
    });
    child.once('exit', (code, ended) => {
      signal.removeEventListener('abort', stop);
      resolve(code ?? BY_SIGNAL + constants.signals[ended!]);
    });
  });
}

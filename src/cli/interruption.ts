// Signals as an AbortSignal: the first one asks the work to stop and clean up, the second one ends the process.

const CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Caught = keyof typeof CODES;

/** The abort reason after a signal; carries the exit code. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
  readonly exitCode: number;

  constructor(signal: Caught) {
    super(`stopped by ${signal}`);
    this.exitCode = CODES[signal];
  }
}

/** Listens until `dispose` is called. */
export function catchSignals(controller: AbortController): { dispose(): void } {
  const heard = (signal: Caught): void => {
    if (controller.signal.aborted) process.exit(CODES[signal]);
    controller.abort(new InterruptedError(signal));
  };
  // A connection that breaks off is a hang-up: the end of the process, unless it is heard.
  const names: readonly Caught[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];
  for (const name of names) process.on(name, heard);
  return {
    dispose: () => {
      for (const name of names) process.off(name, heard);
    },
  };
}

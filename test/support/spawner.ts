// Starts programs through a small process of its own: to fork a large one costs more than most programs run, since every
// page that it holds is marked and copied.
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('spawner-child.js', import.meta.url));

export interface Spawned {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit code, or -1 when a signal ended it. */
  readonly code: number;
}

export interface SpawnSettings {
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Uint8Array | undefined;
  /** Milliseconds. */
  readonly timeout?: number;
  /** Of each of stdout and stderr. */
  readonly maxBuffer?: number;
}

interface Waiting {
  readonly resolve: (result: Spawned) => void;
  readonly reject: (error: Error) => void;
}
type Answer = { readonly id: number } & ({ readonly error: string } | { readonly result: Spawned });

let spawner: ChildProcess | undefined;
let ids = 0;
const waiting = new Map<number, Waiting>();

/** Runs a program to its end. @throws Error when it cannot be started. */
export function spawnApart(file: string, args: readonly string[], options: SpawnSettings): Promise<Spawned> {
  spawner ??= start();
  const id = ids++;
  const child = spawner;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    // While something is waited for, the test process stays.
    child.ref();
    child.channel?.ref();
    child.send({ id, file, args: [...args], options });
  });
}

function start(): ChildProcess {
  const child = fork(CHILD, { serialization: 'advanced', execArgv: [] });
  child.on('message', (answer: Answer) => {
    const waited = waiting.get(answer.id)!;
    waiting.delete(answer.id);
    if (waiting.size === 0) rest(child);
    if ('error' in answer) waited.reject(new Error(answer.error));
    else waited.resolve(answer.result);
  });
  child.on('exit', () => {
    spawner = undefined;
    for (const { reject } of waiting.values())
      reject(new Error('the process that starts programs has ended'));
    waiting.clear();
  });
  rest(child);
  return child;
}

function rest(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
}

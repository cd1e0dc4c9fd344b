// Reads the commands of a walk-through and what it says they print, runs them as a reader would, and holds the one
// against the other. Rule: what differs from run to run is marked in the text (…) or is of a kind named here.
import { runOnTerminal } from './command.ts';
import { spawnApart } from './spawner.ts';

export interface WalkStep {
  /** Of the command in the text, counted from 1. */
  readonly line: number;
  readonly command: string;
  /** What the text shows below it. */
  readonly shown: readonly string[];
  readonly code: number;
}

export interface WalkRun {
  readonly code: number;
  /** stdout and stderr as a terminal shows them. */
  readonly lines: readonly string[];
}

/** Where the text says that the datastore is. */
export const DATASTORE = '/mnt/ds1';

const PROMPT = '$ ';
/** The shell's prompt for the lines of one command. */
const MORE = '> ';
const EXIT = /^\[exit code (\d+)\]$/;
/** Drawn anew in each run, or the clock: UUIDs in both spellings, MAC addresses, CIDs, times. */
const DRAWN: readonly RegExp[] = [
  /\b[\da-f]{2}(?: [\da-f]{2}){7}-[\da-f]{2}(?: [\da-f]{2}){7}\b/g,
  /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g,
  /\b[\da-f]{2}(?::[\da-f]{2}){5}\b/g,
  /\b(?=[a-f]*\d)[\da-f]{8}\b/g,
  /\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\b/g,
];
const SIZE = /\b(\d[\d.,]*) (B|KiB|MiB|GiB|TiB)(?![A-Za-z])/g;
const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** The commands in the ```console blocks of a text, in order. */
export function stepsOf(text: string): WalkStep[] {
  const steps: { line: number; command: string; shown: string[]; code: number }[] = [];
  let inside = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('```')) inside = line === '```console';
    else if (!inside) continue;
    else if (line.startsWith(PROMPT))
      steps.push({ line: index + 1, command: line.slice(PROMPT.length), shown: [], code: 0 });
    else {
      const step = steps.at(-1)!;
      const code = EXIT.exec(line)?.[1];
      if (step.shown.length === 0 && line.startsWith(MORE)) step.command += `\n${line.slice(MORE.length)}`;
      else if (code === undefined) step.shown.push(line);
      else step.code = Number(code);
    }
  }
  return steps;
}

/**
 * Runs one command with `folder` in the place of the datastore; `bin` holds `vmdkit`. What is nothing but vmdkit and its
 * words, with these behind them, runs in this process, all else in a shell.
 */
export async function runStep(
  command: string,
  folder: string,
  bin: string,
  more: readonly string[] = [],
): Promise<WalkRun> {
  const placed = command.replaceAll(DATASTORE, folder);
  const words = plainWords(placed);
  const { text, code } =
    words?.[0] === 'vmdkit'
      ? await runOnTerminal([...words.slice(1), ...more], folder)
      : await runInShell(placed, folder, bin);
  const shown = text.replaceAll(folder, DATASTORE);
  return { code, lines: shown === '' ? [] : shown.replace(/\n$/, '').split('\n') };
}

async function runInShell(
  command: string,
  folder: string,
  bin: string,
): Promise<{ text: string; code: number }> {
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, COLUMNS: '200' };
  const { stdout, code } = await spawnApart('bash', ['-c', `exec 2>&1\n${command}`], { cwd: folder, env });
  return { text: stdout, code };
}

/** The words of a command in which a shell has nothing to do but to take quotes away; otherwise undefined. */
export function plainWords(command: string): string[] | undefined {
  const word = /^(?:([\w.,:/=@%+-]+)|'([^']*)'|"([^"$`\\!]*)")(?: +|$)/;
  const words: string[] = [];
  for (let rest = command.replaceAll('\\\n', ' '); rest !== '';) {
    const found = word.exec(rest);
    if (found === null) return undefined;
    words.push(found[1] ?? found[2] ?? found[3]!);
    rest = rest.slice(found[0].length);
  }
  return words;
}

/** What of the shown lines was not printed, and the other way round; undefined when they agree. */
export function difference(shown: readonly string[], printed: readonly string[]): string | undefined {
  let at = 0;
  for (const [index, line] of shown.entries()) {
    if (line.trim() === '…') {
      const next = shown[index + 1];
      if (next === undefined) return undefined;
      while (at < printed.length && !agrees(next, printed[at]!)) at++;
    } else if (!agrees(line, printed[at] ?? '[the end]')) {
      return `the text shows\n  ${line}\nand printed is\n  ${printed[at] ?? '[the end]'}`;
    } else at++;
  }
  return at === printed.length ? undefined : `printed besides:\n  ${printed.slice(at).join('\n  ')}`;
}

/** `…` stands for anything. Columns may be of any width, sizes differ as file systems count blocks. */
function agrees(shown: string, printed: string): boolean {
  const sizes: number[] = [];
  const wanted = drawnAside(shown).replace(SIZE, (_, number: string, unit: string) => {
    sizes.push(bytesOf(number, unit));
    return '\uE000';
  });
  const pattern = wanted
    .split(/(\uE000|…| +)/)
    .map((part) => {
      if (part === '\uE000') return '(\\d[\\d.,]*) (B|KiB|MiB|GiB|TiB)';
      return part === '…' ? '.*' : /^ +$/.test(part) ? ' +' : part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    })
    .join('');
  const found = new RegExp(`^${pattern}$`).exec(drawnAside(printed));
  return (
    found !== null &&
    sizes.every((size, index) => isNear(size, bytesOf(found[2 * index + 1]!, found[2 * index + 2]!)))
  );
}

function drawnAside(line: string): string {
  return DRAWN.reduce((text, pattern) => text.replace(pattern, 'DRAWN'), line);
}

function bytesOf(number: string, unit: string): number {
  return Number(number.replaceAll(',', '')) * UNITS[unit]!;
}

function isNear(size: number, other: number): boolean {
  return Math.abs(size - other) <= Math.max(64 * 1024, size / 10);
}

// Help texts, made from the declarations of the commands and nothing else.
import { evidenceOptionsOf, operandShown, usageOf } from './arguments.ts';
import type { CommandDeclaration, OptionSpec } from './command.ts';
import { DISK_OPTIONS, GLOBAL_OPTIONS } from './global-options.ts';
import type { Paint } from './output.ts';

const WIDTH = 96;

export function generalHelp(commands: readonly CommandDeclaration[], paint: Paint): string {
  const rows = commands.map((command): [string, string] => [headOf(command), command.summary]);
  return [
    'VMDK disks: linked clones, snapshot chains, reading and writing.',
    '',
    `${paint('bold', 'Usage:')} vmdkit COMMAND … [options]`,
    '',
    paint('bold', 'Commands:'),
    ...listed(rows),
    '',
    paint('bold', 'Options of every command:'),
    ...listed(optionRows(GLOBAL_OPTIONS)),
    '',
    'Sizes are bytes, or a number with k, M, G, T, P (powers of 1024) or s (sectors of 512 bytes).',
    'Exit codes: 0 done, 1 the answer is no, 2 usage, 3 failed, 4 refused for safety, 128+ signal.',
    'More about one command: vmdkit COMMAND --help',
    '',
  ].join('\n');
}

export function commandHelp(command: CommandDeclaration, paint: Paint): string {
  const own = command.options ?? [];
  const sections: string[] = [`${paint('bold', 'Usage:')} ${usageOf(command)}`, '', `${command.summary}`, ''];
  const section = (title: string, lines: readonly string[]): void => {
    if (lines.length > 0) sections.push(paint('bold', `${title}:`), ...lines, '');
  };
  section('Options', listed(optionRows(own)));
  if (command.opensDisks === true) section('How disks are opened', listed(optionRows(DISK_OPTIONS)));
  section('Evidence', listed(optionRows(evidenceOptionsOf(command))));
  for (const note of command.notes ?? []) sections.push(...wrapped(note, WIDTH), '');
  section(
    'Examples',
    (command.examples ?? []).map((example) => `  ${example}`),
  );
  sections.push('Options of every command (--json, -q, --force …): see vmdkit --help', '');
  return sections.join('\n');
}

/** `map DISK` */
export function headOf(command: CommandDeclaration): string {
  return [command.name, ...command.operands.map(operandShown)].join(' ');
}

function optionRows(options: readonly OptionSpec[]): [string, string][] {
  return options.map((option) => {
    const short = option.short === undefined ? '' : `-${option.short}, `;
    const shown = option.choices?.join('|') ?? option.value;
    const value = shown === undefined ? '' : option.optionalValue === true ? `[=${shown}]` : ` ${shown}`;
    const again = option.many === true ? ' (may be repeated)' : '';
    return [`${short}--${option.name}${value}`, `${option.summary}${again}`];
  });
}

/** Two columns; a head too long for its column stands on a line of its own. */
function listed(rows: readonly (readonly [string, string])[]): string[] {
  const column = Math.min(30, Math.max(0, ...rows.map(([head]) => head.length)));
  return rows.flatMap(([head, text]) => {
    const [first = '', ...more] = wrapped(text, WIDTH - column - 4);
    const rest = more.map((line) => `${' '.repeat(column + 4)}${line}`);
    if (head.length <= column) return [`  ${head.padEnd(column)}  ${first}`, ...rest];
    return [`  ${head}`, `${' '.repeat(column + 4)}${first}`, ...rest];
  });
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

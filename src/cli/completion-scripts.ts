// Completion for shells, made from the declarations of the commands. The words are worked out here, once; the scripts
// ask nobody at run time.
import { optionsOf } from './arguments.ts';
import type { CommandDeclaration, OptionSpec } from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, commands: readonly CommandDeclaration[]): string {
  const make = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return make(commands);
}

function bashScript(commands: readonly CommandDeclaration[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const cases = commands.map((command) => {
    const options = optionsOf(command);
    const choices = options.filter(({ choices }) => choices !== undefined);
    const words = options.flatMap(({ name, short }) => [`--${name}`, ...(short ? [`-${short}`] : [])]);
    return [
      `    ${command.name})`,
      ...choices.map((option) => `      ${bashChoice(option)}`),
      `      words="${words.join(' ')}" ;;`,
    ].join('\n');
  });
  return `# bash completion for vmdkit: put this into a file that your shell reads, or: source <(vmdkit completion bash)
_vmdkit() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o default -F _vmdkit vmdkit
`;
}

function bashChoice({ name, choices = [] }: OptionSpec): string {
  const reply = `COMPREPLY=($(compgen -W "${choices.join(' ')}" -- "$current"))`;
  return `[[ "$previous" == --${name} ]] && { ${reply}; return; }`;
}

function zshScript(commands: readonly CommandDeclaration[]): string {
  const described = commands.map(({ name, summary }) => `    '${zshText(`${name}:${summary}`)}'`);
  const cases = commands.map((command) => {
    const options = optionsOf(command).map((option) => `        ${zshOption(option)}`);
    return [
      `      ${command.name})`,
      '        _arguments \\',
      ...options.map((line) => `${line} \\`),
      "        '*:file:_files' ;;",
    ].join('\n');
  });
  return `#compdef vmdkit
# zsh completion for vmdkit: save it as _vmdkit in a folder of your $fpath
_vmdkit() {
  local -a commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
_vmdkit "$@"
`;
}

function zshOption({ name, summary, value, optionalValue, choices, many }: OptionSpec): string {
  const argument =
    value === undefined || optionalValue === true
      ? ''
      : `:${value}:${choices === undefined ? '_files' : `(${choices.join(' ')})`}`;
  return `'${many === true ? '*' : ''}--${name}[${zshText(summary.replaceAll(/[[\]]/g, '\\$&'))}]${argument}'`;
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''");
}

function fishScript(commands: readonly CommandDeclaration[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const lines = commands.flatMap((command) => [
    `complete -c vmdkit -n "not __fish_seen_subcommand_from ${names}" -f -a ${command.name} -d '${fishText(command.summary)}'`,
    ...optionsOf(command).map(
      (option) =>
        `complete -c vmdkit -n "__fish_seen_subcommand_from ${command.name}" ${fishOption(option)} -d '${fishText(option.summary)}'`,
    ),
  ]);
  return [
    '# fish completion for vmdkit: save it as ~/.config/fish/completions/vmdkit.fish',
    ...lines,
    '',
  ].join('\n');
}

function fishOption({ name, short, value, optionalValue, choices }: OptionSpec): string {
  const letter = short === undefined ? '' : ` -s ${short}`;
  const takes = value === undefined || optionalValue === true ? '' : ' -r';
  return `-l ${name}${letter}${takes}${choices === undefined ? '' : ` -f -a '${choices.join(' ')}'`}`;
}

function fishText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}

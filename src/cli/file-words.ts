// Which words of a command line name files or folders, and that these can be names of files. Rule: what can be found is
// taken as it is; only what cannot is explained.
import type { FileStore } from '../storage/file-store.ts';
import { assertName } from '../storage/explain-name.ts';
import { optionsOf } from './arguments.ts';
import type { CommandDeclaration } from './command.ts';
import type { Arguments } from './parsed-arguments.ts';

/** As operands and values of options are called in help. */
export const FILE_WORDS: ReadonlySet<string> = new Set([
  'A',
  'B',
  'BASE',
  'DELTA',
  'DIR',
  'DISK',
  'DISK_OR_VM',
  'DST',
  'FILE',
  'LEAF',
  'LINK',
  'NEW',
  'OLD',
  'PARENT',
  'PATCH',
  'SPEC',
  'SRC',
  'VM',
  'VM_OR_DISK',
]);

/** @throws VmdkError `usage` for an empty name, `not-a-file-name` for what is a protocol or the like. */
export async function assertFileWords(
  command: CommandDeclaration,
  args: Arguments,
  store: FileStore,
): Promise<void> {
  for (const { name } of command.operands) {
    if (!FILE_WORDS.has(name)) continue;
    for (const word of args.operands(name)) await assertName(store, word, `${command.name}: ${name}`);
  }
  for (const { name, value } of optionsOf(command)) {
    if (value === undefined || !FILE_WORDS.has(value)) continue;
    for (const word of args.texts(name)) await assertName(store, word, `--${name}`);
  }
}

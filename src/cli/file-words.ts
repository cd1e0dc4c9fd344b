// Which words of a command line name files or folders, and that these can be names of files. Rule: what can be found is
// taken as it is; only what cannot is explained.
import type { FileStore } from '../storage/file-store.ts';
import { assertName } from '../storage/explain-name.ts';
import { assertNoUrl } from '../storage/remote-address.ts';
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

/** Operands that are made, changed or looked through, which no URL can be. */
const HERE: ReadonlySet<string> = new Set(['DIR', 'DST', 'NEW']);
/** The same of options: files and folders, but for those that are only read. */
const HERE_IN_OPTIONS: ReadonlySet<string> = new Set(['DIR', 'DST', 'FILE']);
const READ_ONLY: ReadonlySet<string> = new Set(['base', 'repair', 'root', 'undo']);

/**
 * @throws VmdkError `usage` for an empty name, `not-a-file-name` for what is a protocol or the like, `remote-read-only` for
 * a URL where none can be.
 */
export async function assertFileWords(
  command: CommandDeclaration,
  args: Arguments,
  store: FileStore,
): Promise<void> {
  for (const { name } of command.operands) {
    if (!FILE_WORDS.has(name)) continue;
    for (const word of args.operands(name)) {
      await assertName(store, word, `${command.name}: ${name}`);
      const made = command.name === 'create' && name === 'DISK';
      if (made || HERE.has(name)) assertNoUrl(word, name);
    }
  }
  for (const { name, value } of optionsOf(command)) {
    if (value === undefined || !FILE_WORDS.has(value)) continue;
    for (const word of args.texts(name)) {
      await assertName(store, word, `--${name}`);
      if (HERE_IN_OPTIONS.has(value) && !READ_ONLY.has(name)) assertNoUrl(word, `--${name}`);
    }
  }
}

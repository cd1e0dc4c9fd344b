// Every file below a folder, depth first. Rule: a folder is entered once, whatever names it, so that circles end; what
// cannot be read is told and passed by; there is a most.
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileNode, FileSystem } from './file-system.ts';

export interface WalkFilesOptions extends TaskOptions {
  /** Entries given in all; 5 million unless told. */
  most?: number | undefined;
  /** What could not be read, and that the most was reached. */
  onProblem?: ((path: string, message: string) => void) | undefined;
}

export interface WalkedFile {
  /** `/etc/hosts` */
  readonly path: string;
  readonly node: FileNode;
}

const DEEPEST = 1024;

export async function* walkFiles(
  fileSystem: FileSystem,
  folder: FileNode = fileSystem.root,
  path = '',
  options: WalkFilesOptions = {},
): AsyncGenerator<WalkedFile> {
  const entered = new Set<number>([folder.inode]);
  const waiting: WalkedFile[] = [{ path, node: folder }];
  const say = (where: string, what: string): void => options.onProblem?.(where === '' ? '/' : where, what);
  let left = options.most ?? 5_000_000;
  while (waiting.length > 0) {
    throwIfAborted(options);
    const { path: parent, node } = waiting.pop()!;
    const entries = await entriesOf(fileSystem, node, (message) => say(parent, message));
    const folders: WalkedFile[] = [];
    for (const entry of entries) {
      if (left-- === 0) return say(parent, 'there are more files than are walked: the rest is left out');
      const each = { path: `${parent}/${entry.name}`, node: entry };
      yield each;
      if (entry.kind !== 'folder') continue;
      if (entered.has(entry.inode)) say(each.path, 'this folder has another name: it is entered once');
      else if (each.path.split('/').length > DEEPEST) say(each.path, 'too deep: not entered');
      else {
        entered.add(entry.inode);
        folders.push(each);
      }
    }
    waiting.push(...folders.reverse());
  }
}

async function entriesOf(
  fileSystem: FileSystem,
  folder: FileNode,
  say: (message: string) => void,
): Promise<readonly FileNode[]> {
  try {
    return await fileSystem.list(folder);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    say(error.message);
    return [];
  }
}

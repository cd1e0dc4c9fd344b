// `vmdkit cat --file`: the bytes of one file of a file system on the disk, to a pipe or a file.
import type { Chain } from '../chain/chain.ts';
import { usageError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { chooseFileSystem, findFileSystems } from '../examine/find-file-systems.ts';
import { findFile, readFile } from '../examine/read-file.ts';
import type { CommandContext } from './context.ts';
import type { Arguments } from './parsed-arguments.ts';

/** Writes the file `path` to `target`, which is standard output when it is undefined or `-`. */
export async function catFile(
  chain: Chain,
  path: string,
  target: string | undefined,
  args: Arguments,
  context: CommandContext,
): Promise<void> {
  const found = await findFileSystems(chain.leaf.path, chain);
  const { fileSystem } = chooseFileSystem(chain.leaf.path, found, args.count('partition'));
  for (const { message } of fileSystem.findings) context.warn(message);
  const node = await findFile(fileSystem, path);
  if (node.kind !== 'file') throw usageError(`--file: ${path} is a ${node.kind}, not a file`);
  const pieces = async (task: TaskOptions, use: (data: Uint8Array) => Promise<void>): Promise<void> => {
    let done = 0;
    for await (const piece of readFile(chain, fileSystem, node, task)) {
      await use(piece);
      done += piece.length;
      task.onProgress?.({ phase: 'copying', done, total: node.size, unit: 'bytes' });
    }
  };
  await context.withProgress(async (task) => {
    if (target === undefined || target === '-') return pieces(task, (data) => context.stdout.write(data));
    const { writeNewFile } = await import('../operations/new-file.ts');
    await writeNewFile(context.outputs, target, chain, context.force, async (file) => {
      let at = 0;
      await pieces(task, async (data) => {
        await file.write(data, at);
        at += data.length;
      });
    });
  });
}

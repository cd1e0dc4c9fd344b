// `vmdkit diff -o FILE`: the difference between two disks as a delta or a patch. Rule: FILE appears whole or not at all.
import type { Chain } from '../chain/chain.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { createDifferenceDelta } from '../operations/difference-delta.ts';
import { writeNewFile } from '../operations/new-file.ts';
import { writePatch, type DifferenceWritten, type PatchWritten } from '../operations/write-patch.ts';
import type { CommandContext } from './context.ts';
import { sizeText } from './numbers.ts';
import type { Arguments } from './parsed-arguments.ts';
import { noteSharers } from './sharers.ts';

export async function writeDifference(
  target: string,
  a: Chain,
  b: Chain,
  kind: string,
  args: Arguments,
  context: CommandContext,
): Promise<void> {
  if (target === '-') {
    if (kind === 'delta') throw usageError('diff: a delta needs a name; only a patch goes to stdout');
    await toStdout(a, b, context);
    return;
  }
  if (kind === 'patch') return report(target, kind, await toFile(target, a, b, context), context);
  const delta = await context.withProgress((task) =>
    createDifferenceDelta(target, a, b, { ...task, fs: context.outputs, allow: args.texts('allow') }),
  );
  for (const note of delta.notes) context.talk(`${target}: ${note}`);
  // The register beside the base says from now on that something stands on it.
  await noteSharers([{ base: a.leaf.path, path: target }], context);
  await report(target, kind, delta, context, { 'create-type': delta.createType });
}

async function toStdout(a: Chain, b: Chain, context: CommandContext): Promise<void> {
  if (context.stdout.isTerminal && !context.force) {
    throw new VmdkError('refused', 'output-is-a-terminal', 'a patch is nothing for a terminal', {
      hint: 'Name a file in place of "-" or send it to a pipe; --force prints it here.',
    });
  }
  await context.withProgress((task) =>
    writePatch(a, b, (data) => context.stdout.write(data), { ...task, fs: context.store }),
  );
}

async function toFile(target: string, a: Chain, b: Chain, context: CommandContext): Promise<PatchWritten> {
  const both = { ...a, links: [...a.links, ...b.links] };
  return context.withProgress((task) =>
    writeNewFile(context.outputs, target, both, context.force, (file) => {
      let at = 0;
      const write = async (data: Uint8Array): Promise<void> => {
        await file.write(data, at);
        at += data.length;
      };
      return writePatch(a, b, write, { ...task, fs: context.store });
    }),
  );
}

async function report(
  target: string,
  kind: string,
  written: DifferenceWritten & { from?: string; to?: string },
  context: CommandContext,
  more: Record<string, string> = {},
): Promise<void> {
  const { changed, zeroed, from, to } = written;
  if (context.format !== 'human') {
    const hashes = from === undefined ? {} : { from, to };
    const head = { schema: 'vmdkit-diff-file/v1', filename: target, kind };
    return context.printJson({ ...head, changed, zeroed, ...hashes, ...more });
  }
  context.talk(`${target}: a ${kind} with ${sizeText(changed)} of data and ${sizeText(zeroed)} of zeros`);
}

// `vmdkit apply`: a patch of `vmdkit diff` put over a disk. What is below the disk is only read.
import { posix } from 'node:path';
import { openChain } from '../../chain/open-chain.ts';
import { openDisk } from '../../disk/open-disk.ts';
import { printCid } from '../../format/content-id.ts';
import { applyPatch } from '../../operations/apply-patch.ts';
import { spoolInput } from '../../operations/spool-input.ts';
import { filesOfDisk, withLocks } from '../../operations/with-locks.ts';
import type { RandomAccessFile } from '../../storage/file-store.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { sizeText } from '../numbers.ts';
import { refuseToBreakSharers } from '../sharers.ts';
import { tellingWhatIsInPart } from '../written-in-part.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const options = await chainOptionsOf(args, context);
  const path = args.operand('DISK');
  const update = {
    ...options,
    dropChangeTracking: args.flag('drop-change-tracking'),
    // The locks are ours.
    locked: 'ignore' as const,
  };
  const { patch, name, close } = await openPatch(args.operand('PATCH'), path, context);
  try {
    const disk = await openDisk(path, { ...options, onFinding: undefined });
    await disk.close();
    await refuseToBreakSharers(path, 'writing to this disk', options, context);
    const work = async () => {
      const chain = await openChain(path, 'update', update);
      try {
        const applying = () =>
          context.withProgress((task) => applyPatch(patch, chain, { ...task, force: context.force }));
        const again = 'the same patch with --force goes on, and proves the result';
        const applied = await tellingWhatIsInPart(applying, chain, context, again);
        return { ...applied, leaf: chain.leaf };
      } finally {
        await chain.close();
      }
    };
    const others = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
    const locking = { others, signal: context.signal } as const;
    const done = await withLocks(context.store, [path, ...filesOfDisk(disk)], work, locking);
    const { already, changed, zeroed, from, to, leaf } = done;
    if (context.format !== 'human') {
      const facts = { already, changed, zeroed, from, to, cid: printCid(leaf.cid) };
      await context.printJson({
        schema: 'vmdkit-apply/v1',
        filename: leaf.path,
        patch: name,
        ...facts,
      });
    } else if (already) context.talk(`${path}: up to date already; nothing was written`);
    else {
      context.talk(
        `${path}: ${sizeText(changed)} of data and ${sizeText(zeroed)} of zeros written, and the result proved; CID is now ${printCid(leaf.cid)}`,
      );
    }
    return EXIT.done;
  } finally {
    await close();
  }
};

interface OpenPatch {
  readonly patch: RandomAccessFile;
  /** What it is called. */
  readonly name: string;
  readonly close: () => Promise<void>;
}

/** A patch is read twice, so that one from a pipe is kept until it is over. */
async function openPatch(operand: string, disk: string, context: CommandContext): Promise<OpenPatch> {
  const { store, stdin } = context;
  if (operand !== '-') {
    const patch = await store.open(operand, 'read');
    return { patch, name: patch.path, close: () => patch.close() };
  }
  const folder = posix.dirname((await store.resolve(disk)).path);
  const { path, remove } = await context.withProgress((task) =>
    spoolInput(store, stdin(), 'input.patch', { folder, ...task }),
  );
  try {
    const patch = await store.open(path, 'read');
    const close = async (): Promise<void> => {
      await patch.close();
      await remove();
    };
    return { patch: { ...patch, path: 'standard input' }, name: '-', close };
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

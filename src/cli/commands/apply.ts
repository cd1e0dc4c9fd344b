// `vmdkit apply`: a patch of `vmdkit diff` put over a disk. What is below the disk is only read.
import { posix } from 'node:path';
import { printCid } from '../../format/content-id.ts';
import { patchDisk, type PatchDiskOptions, type PatchedDisk } from '../../machine/patch-disk.ts';
import { spoolInput } from '../../operations/spool-input.ts';
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
  const { patch, name, close } = await openPatch(args.operand('PATCH'), path, context);
  try {
    await refuseToBreakSharers(path, 'writing to this disk', options, context);
    const done = await patchTelling(patch, path, context, {
      ...options,
      dropChangeTracking: args.flag('drop-change-tracking'),
      locked: args.text('locked') === 'ignore' ? 'ignore' : 'refuse',
      force: context.force,
    });
    const { already, changed, zeroed, from, to } = done;
    const cid = printCid(done.cid);
    if (context.format !== 'human') {
      const facts = { already, changed, zeroed, from, to, cid };
      await context.printJson({
        schema: 'vmdkit-apply/v1',
        filename: done.path,
        patch: name,
        ...facts,
      });
    } else if (already) context.talk(`${path}: up to date already; nothing was written`);
    else {
      context.talk(
        `${path}: ${sizeText(changed)} of data and ${sizeText(zeroed)} of zeros written, and the result proved; CID is now ${cid}`,
      );
    }
    return EXIT.done;
  } finally {
    await close();
  }
};

/** A disk that is left between old and new is said to be so. */
async function patchTelling(
  patch: RandomAccessFile,
  path: string,
  context: CommandContext,
  options: PatchDiskOptions,
): Promise<PatchedDisk> {
  let begun = false;
  const onBegun = (): void => void (begun = true);
  const again = 'the same patch again finishes it (until then: DESC-HALF-PATCHED)';
  return tellingWhatIsInPart(
    () => context.withProgress((task) => patchDisk(patch, path, { ...options, ...task, onBegun })),
    { path, begun: () => begun },
    context,
    again,
  );
}

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

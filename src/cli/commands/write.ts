// `vmdkit write`: bytes from a file or stdin into a leaf, or zeros. What is below the leaf is only read.
import { openChain } from '../../chain/open-chain.ts';
import { openDisk } from '../../disk/open-disk.ts';
import type { OpenOptions } from '../../disk/open-options.ts';
import type { WritableChain } from '../../chain/writable-chain.ts';
import { usageError } from '../../core/errors.ts';
import type { TaskOptions } from '../../core/task.ts';
import { filesOfDisk, withLocks } from '../../operations/with-locks.ts';
import { chunksOf, writeStream, zeroBytes } from '../../operations/write-bytes.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandContext } from '../context.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { refuseToBreakSharers } from '../sharers.ts';
import { tellingWhatIsInPart } from '../written-in-part.ts';
import { printCid } from '../../format/content-id.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const offset = args.bytes('offset');
  if (offset === undefined) throw usageError('write needs --offset N', 'For example: --offset 1M');
  const zero = args.bytes('zero');
  const source = args.optionalOperand('FILE');
  if (zero !== undefined && source !== undefined) {
    throw usageError('write: --zero writes zeros: no FILE goes with it');
  }
  if (zero === undefined && source === undefined && context.stdin().isTTY) {
    throw usageError('write needs a FILE, data on stdin or --zero LENGTH');
  }
  const options = await chainOptionsOf(args, context);
  const disk = args.operand('DISK');
  const dropChangeTracking = args.flag('drop-change-tracking');
  const others = args.text('locked') === 'ignore' ? 'ignore' : 'refuse';
  const files = await filesToLock(disk, options);
  await refuseToBreakSharers(disk, 'writing to this disk', options, context);
  const written = await withLocks(
    context.store,
    files,
    async () => {
      // The locks are ours.
      const chain = await openChain(disk, 'update', { ...options, dropChangeTracking, locked: 'ignore' });
      try {
        const writing = () =>
          context.withProgress(async (task) => {
            if (zero === undefined) return writeInput(source, chain, offset, context, task);
            await zeroBytes(chain, offset, zero, task);
            return zero;
          });
        const again = 'the same command again writes all of it';
        const { leaf } = chain;
        // The CID is rolled with the first byte that is written.
        const part = { path: leaf.path, begun: () => leaf.cid !== leaf.descriptor.cid };
        const length = await tellingWhatIsInPart(writing, part, context, again);
        return { chain, length };
      } finally {
        await chain.close();
      }
    },
    { others, signal: context.signal },
  );
  await report(args, context, written.chain, {
    offset,
    length: written.length,
    zeroed: zero !== undefined,
  });
  return EXIT.done;
};

/** What others lock of the leaf, and so do we. What is odd about the disk is told when it is opened to be written. */
async function filesToLock(path: string, options: OpenOptions): Promise<string[]> {
  const disk = await openDisk(path, { ...options, onFinding: undefined });
  await disk.close();
  return [path, ...filesOfDisk(disk)];
}

async function writeInput(
  source: string | undefined,
  chain: WritableChain,
  offset: number,
  context: CommandContext,
  task: TaskOptions,
): Promise<number> {
  if (source === undefined || source === '-') return writeStream(chain, offset, context.stdin(), task);
  const file = await context.store.open(source, 'read');
  try {
    return await writeStream(chain, offset, chunksOf(file), { ...task, length: await file.size() });
  } finally {
    await file.close();
  }
}

async function report(
  args: Arguments,
  context: CommandContext,
  chain: WritableChain,
  done: { offset: number; length: number; zeroed: boolean },
): Promise<void> {
  const { leaf } = chain;
  const rolled = leaf.cid !== leaf.descriptor.cid;
  if (context.format !== 'human') {
    const result = {
      schema: 'vmdkit-write/v1',
      filename: leaf.path,
      ...done,
      cid: printCid(leaf.cid),
      'cid-changed': rolled,
    };
    await context.printJson(result);
    return;
  }
  const { grouped } = await import('../numbers.ts');
  const what = done.zeroed ? 'zeroed' : 'wrote';
  const cid = rolled ? `; CID is now ${printCid(leaf.cid)}` : '; nothing had to change';
  context.talk(
    `${args.operand('DISK')}: ${what} ${grouped(done.length)} bytes at byte ${grouped(done.offset)}${cid}`,
  );
}

// One disk opened for reading, with all that is below it. Rule: it is closed however the work ends.
import type { Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import type { CommandContext } from './context.ts';
import { chainOptionsOf } from './disk-options.ts';
import type { Arguments } from './parsed-arguments.ts';

/** Runs `work` with the chain of the operand DISK. */
export async function withChain<T>(
  args: Arguments,
  context: CommandContext,
  work: (chain: Chain) => Promise<T>,
): Promise<T> {
  const chain = await openChain(args.operand('DISK'), 'read', await chainOptionsOf(args, context));
  try {
    return await work(chain);
  } finally {
    await chain.close();
  }
}

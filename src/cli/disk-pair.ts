// Two disks opened for reading, for commands that look at both. Rule: both are closed however the work ends.
import type { Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import type { CommandContext } from './context.ts';
import { chainOptionsOf } from './disk-options.ts';
import type { Arguments } from './parsed-arguments.ts';

/** Runs `work` with the chains of the operands A and B. */
export async function withBoth<T>(
  args: Arguments,
  context: CommandContext,
  work: (a: Chain, b: Chain) => Promise<T>,
): Promise<T> {
  const options = await chainOptionsOf(args, context);
  const a = await openChain(args.operand('A'), 'read', options);
  try {
    const b = await openChain(args.operand('B'), 'read', options);
    try {
      return await work(a, b);
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

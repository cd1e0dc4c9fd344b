// The options of convert and measure that say what is made of what. Rule: only what was given is passed on, so that the
// library's own defaults hold.
import type { ConvertOptions } from '../operations/convert-disk.ts';
import type { Arguments } from './parsed-arguments.ts';
import { toSectors } from './sizes.ts';

/** Those that both commands have. */
export function conversionOptions(args: Arguments): Omit<ConvertOptions, 'fs'> {
  const grain = args.bytes('grain');
  return {
    from: args.text('from') === 'raw' || args.operand('SRC') === '-' ? 'raw' : 'vmdk',
    type: args.text('target-type'),
    grainSize: grain === undefined ? undefined : toSectors(grain, '--grain'),
    thin: args.flag('thin') || undefined,
    level: args.count('level'),
  };
}

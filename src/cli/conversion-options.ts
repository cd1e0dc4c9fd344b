// The options of convert and measure that say what is made of what. Rule: only what was given is passed on, so that the
// library's own defaults hold.
import type { ConvertOptions } from '../operations/convert-disk.ts';
import type { Arguments } from './parsed-arguments.ts';
import { toSectors } from '../core/sizes.ts';

/** What comes from a pipe is raw content unless it is said to be a disk. */
function formatOf(args: Arguments): 'raw' | 'vmdk' {
  const given = args.text('from');
  if (given === 'raw' || given === 'vmdk') return given;
  return args.operand('SRC') === '-' ? 'raw' : 'vmdk';
}

/** Those that both commands have. */
export function conversionOptions(args: Arguments): Omit<ConvertOptions, 'fs'> {
  const grain = args.bytes('grain');
  return {
    from: formatOf(args),
    type: args.text('target-type'),
    grainSize: grain === undefined ? undefined : toSectors(grain, '--grain'),
    thin: args.flag('thin') || undefined,
    level: args.count('level'),
    adapter: args.text('adapter'),
    hardwareVersion: args.count('hardware-version'),
    hint: args.text('hint'),
  };
}

// The options that say which state of a disk or machine is read, and how much of it must be there. Declarations only: they
// are loaded with every command line.
import type { OptionSpec } from './command.ts';

/** Of every command that takes a machine or a disk at a snapshot. */
export const POINT_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'at',
    value: 'POINT',
    summary:
      "read the machine or disk as it was at a snapshot: its name, uid:N, index:N, a time with its zone (2022-11-28T15:00Z: the last snapshot by then), running, or a link's file name",
  },
  { name: 'disk', value: 'NODE', summary: 'of a machine, this disk alone: scsi0:0' },
];

/** The same of commands that look at two. */
export const PAIR_POINT_OPTIONS: readonly OptionSpec[] = POINT_OPTIONS.map((option) =>
  option.name === 'at'
    ? { ...option, many: true, summary: `${option.summary}; given twice, of A and of B` }
    : option,
);

/** Of every command that can read what is left of a chain. */
export const PARTIAL_OPTION: OptionSpec = {
  name: 'partial',
  value: 'FILL',
  optionalValue: true,
  summary:
    'go on when a parent or an extent is missing: each byte that is lost reads as FILL, two hexadecimal digits (default 00); what is lost is listed, and the exit code is 1',
};

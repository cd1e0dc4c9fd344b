// The commands that look into what a disk holds, declared; see commands.ts. All of them only read.
import type { CommandSpec } from './command-module.ts';
import { PARTIAL_OPTION, POINT_OPTIONS } from './point-options.ts';

export const LOOK_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'partitions',
    summary: 'the partitions of a disk, GPT or DOS, with tables and gaps, as mmls lists them',
    operands: [{ name: 'DISK' }],
    options: [...POINT_OPTIONS, PARTIAL_OPTION],
    opensDisks: true,
    evidence: 'always',
    examples: ['vmdkit partitions web-01.vmdk', 'vmdkit partitions web-01.vmdk --json'],
    notes: [
      'Sectors of 512 bytes. What is wrong with a table is a warning, and in JSON a finding: a damaged GPT is listed from its backup. Exit code 1: there is no partition table.',
    ],
    load: () => import('./commands/partitions.ts'),
  },
];

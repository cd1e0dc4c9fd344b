// The commands that look into what a disk holds, declared; see commands.ts. All of them only read.
import type { CommandSpec } from './command-module.ts';
import type { OptionSpec } from './command.ts';
import { PARTIAL_OPTION, POINT_OPTIONS } from './point-options.ts';

export const PARTITION: OptionSpec = {
  name: 'partition',
  value: 'N',
  summary: 'which partition, as partitions numbers them; needed where more than one can be read',
};

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
  {
    name: 'ls',
    summary: 'the file systems of a disk, and the files in one: ext2 to ext4, FAT12 to FAT32',
    operands: [{ name: 'DISK' }, { name: 'PATH', optional: true }],
    options: [
      PARTITION,
      { name: 'recursive', short: 'r', summary: 'all folders below PATH, too' },
      { name: 'ranges', summary: 'where on the disk each file lies' },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit ls web-01.vmdk',
      'vmdkit ls web-01.vmdk /etc --partition 2',
      'vmdkit ls web-01.vmdk -r --ranges --output ndjson',
    ],
    notes: [
      'Without PATH the root; where the disk has more than one file system, these are listed. Inodes are the numbers that sleuthkit gives. Times are UTC; those of FAT have no zone, and are shown as written.',
      'File systems are read as they stand: no journal is replayed, deleted entries are not listed. NTFS, exFAT, XFS and others are named, not listed. Exit code 1: something could not be listed.',
    ],
    load: () => import('./commands/ls.ts'),
  },
];

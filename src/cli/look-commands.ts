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
  {
    name: 'dump',
    summary: 'the structures of a disk, field by field, with the byte where each stands',
    operands: [{ name: 'DISK' }, { name: 'PART', optional: true }],
    options: [
      { name: 'extent', value: 'N', summary: 'only the file of extent N, counted from 0' },
      { name: 'table', value: 'N', summary: 'gt: only grain table N, counted from 0' },
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit dump web-01.vmdk',
      'vmdkit dump web-01.vmdk gd',
      'vmdkit dump export.vmdk markers --output ndjson',
    ],
    notes: [
      'PART is header, descriptor, gd (the grain directory), rgd (its redundant copy), gt (the grain tables), markers or footer; without it headers and descriptor. Names are those of the specifications.',
      'DISK is a descriptor, then all its files are looked at, or any one file of a disk. Parents are not opened, and what is damaged is shown as it stands. Entries of 0 are left out.',
    ],
    load: () => import('./commands/dump.ts'),
  },
  {
    name: 'hexdump',
    summary: 'what a disk, a link or a file on it holds, as hexdump -C prints it',
    operands: [{ name: 'DISK' }],
    options: [
      { name: 'start', value: 'N', summary: 'first byte (default 0)' },
      { name: 'length', value: 'N', summary: 'bytes (default: to the end)' },
      { name: 'link', value: 'N', summary: 'only what link N itself holds; 0 is the leaf' },
      { name: 'raw', summary: 'the file of the first extent (of --link N), as it stands' },
      { name: 'file', value: 'PATH', summary: 'the file PATH of a file system on the disk' },
      PARTITION,
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit hexdump web-01.vmdk --length 1s',
      'vmdkit hexdump web-01.vmdk --link 1 --start 1M --length 4k',
      'vmdkit hexdump web-01.vmdk --file /etc/hosts',
    ],
    notes: ['Offsets are those of the disk or of the file. Equal lines are a star; holes are not read.'],
    load: () => import('./commands/hexdump.ts'),
  },
  {
    name: 'report',
    summary: 'one page on a disk or a machine: chain, map, snapshots, findings, slack, hashes, manifest',
    operands: [{ name: 'DISK_OR_VM' }],
    options: [
      { name: 'to', short: 'o', value: 'FILE', summary: 'the page: one HTML file, without scripts' },
      { name: 'title', value: 'TEXT', summary: 'what it is called' },
      {
        name: 'hashes',
        value: 'HOW',
        choices: ['auto', 'whole', 'sparse', 'none'],
        summary:
          'of contents and files: whole; without their zeros; none, which reads structures alone; or (default auto) whole, but for what has more than 16 GiB of zeros',
      },
      ...POINT_OPTIONS,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit report web-01.vmdk -o /cases/42/web-01.html --case 42 --examiner "A. Nguyen"',
      'vmdkit report web-01.vmx --json > web-01.json',
      "vmdkit report web-01.vmx --at 'before the upgrade' -o ../web-01.html",
    ],
    notes: [
      'With --json the same facts are printed; -o is then optional. The page fetches nothing, and its policy allows nothing but its own style. --manifest FILE writes the record that shows that nothing was changed.',
    ],
    load: () => import('./commands/report.ts'),
  },
];

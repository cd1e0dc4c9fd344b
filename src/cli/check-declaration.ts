// How the commands for damaged disks declare themselves: check, which looks, plans, mends and takes back, and recover.
import type { CommandSpec } from './command-module.ts';

export const CHECK: CommandSpec = {
  name: 'check',
  summary: 'what is wrong with a disk or a chain: every finding, with its place; and repairs, planned first',
  operands: [{ name: 'DISK' }],
  options: [
    { name: 'chain', summary: 'check every link below as well, and the chain as a whole' },
    { name: 'deep', summary: 'inflate every compressed grain: reads all of it, proves all of it' },
    {
      name: 'plan',
      value: 'FILE',
      summary: 'write to FILE what a repair would do; nothing else is changed',
    },
    {
      name: 'fit-cid',
      summary: 'plan: the parent as it is now is known to be the right one; take its CID',
    },
    {
      name: 'cut-leaks',
      summary:
        'plan: cut off lost space at the end of a sparse file also when it holds data; the record keeps it',
    },
    { name: 'repair', value: 'FILE', summary: 'carry out the plan in FILE' },
    {
      name: 'undo-record',
      value: 'FILE',
      summary: 'repair: where what was there before is kept (default DISK.undo)',
    },
    { name: 'undo', value: 'FILE', summary: 'take a repair back by its record, byte for byte' },
    {
      name: 'locked',
      value: 'WHAT',
      choices: ['refuse', 'ignore'],
      summary: 'repair, undo: locks that others have on the disk (default refuse)',
    },
  ],
  opensDisks: true,
  evidence: 'offered',
  examples: [
    'vmdkit check web-01.vmdk --chain',
    'vmdkit check export.vmdk --deep --json',
    'vmdkit check web-01.vmdk --plan web-01.plan',
    'vmdkit check web-01.vmdk --repair web-01.plan',
    'vmdkit check web-01.vmdk --undo web-01.vmdk.undo',
  ],
  notes: [
    'A repair mends only what can be proved and invents no data; the plan says what stays, and why. It is refused when the disk has changed since, is in use, or has disks standing on it that would see other contents. A run that was killed is finished by running it again, or taken back with --undo.',
    'Exit codes: 0 sound (warnings and lost space included), 1 damaged, 3 something could not be checked. With -v every finding that is kept is shown, notes included. JSON has the keys of `qemu-img check` and more.',
  ],
  load: () => import('./commands/check.ts'),
};

export const RECOVER: CommandSpec = {
  name: 'recover',
  summary:
    'what can be read of a disk that lost its descriptor or tables, or of a damaged stream, as something new',
  operands: [{ name: 'SRC', many: true }],
  options: [
    { name: 'to', short: 'o', value: 'DST', summary: 'what is made: never an existing file' },
    {
      name: 'parent',
      value: 'DISK',
      summary:
        'the disk below, of a delta that lost its descriptor, or none (default: what .vmx, .vmsd, logs, names and sizes say)',
    },
  ],
  opensDisks: true,
  examples: [
    'vmdkit recover web-01-flat.vmdk -o web-01.vmdk',
    'vmdkit recover web-01-s00*.vmdk -o web-01.vmdk',
    'vmdkit recover web-01-000001-delta.vmdk -o web-01-000001.vmdk --parent web-01.vmdk',
    'vmdkit recover web-01/ -o web-01/',
    'vmdkit recover damaged.vmdk -o mended.vmdk',
    'vmdkit recover broken-export.vmdk -o saved.raw',
  ],
  notes: [
    'Extents that lost their descriptor get a new one beside them: sizes and types from the files, the CID from the disks that stand on it, the parent from the .vmx, .vmsd and vmware.log beside it or, when only one disk fits, from names and sizes. A folder gets all that are missing.',
    'A sparse disk in one file becomes a copy with its directories, tables and text put right. A streamOptimized file that is damaged or cut short is saved grain by grain into a raw file, or a monolithicSparse disk when DST ends in .vmdk; a grain counts only when its checksum is right.',
    'Sources are only read, and nothing is invented: what could not be recovered is listed, and the exit code is then 1.',
  ],
  load: () => import('./commands/recover.ts'),
};

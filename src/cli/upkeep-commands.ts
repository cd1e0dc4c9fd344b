// The commands that compare disks and change their shape, declared; see commands.ts.
import type { CommandSpec } from './command-module.ts';
import { PAIR_POINT_OPTIONS } from './point-options.ts';

export const UPKEEP_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'compare',
    summary: 'whether two disks hold the same; reads only what may differ',
    operands: [{ name: 'A' }, { name: 'B', optional: true }],
    options: [
      { name: 'strict', summary: 'disks of different sizes differ, whatever they hold' },
      { name: 'first', summary: 'stop at the first difference' },
      ...PAIR_POINT_OPTIONS,
    ],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit compare web-01.vmdk web-01-copy.vmdk',
      'vmdkit compare before.vmdk after.vmdk --first -q || echo changed',
      "vmdkit compare web-01.vmx --at 'before the upgrade'",
    ],
    notes: [
      'Exit codes: 0 equal, 1 different. Without --strict the larger disk must hold zeros past the end of the smaller.',
    ],
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'diff',
    summary: 'the ranges in which two disks differ; as a delta or a patch with -o',
    operands: [{ name: 'A' }, { name: 'B', optional: true }],
    options: [
      {
        name: 'to',
        short: 'o',
        value: 'FILE',
        stream: true,
        summary:
          'write what turns A into B: a new delta over A (FILE.vmdk), the ranges (FILE.json) or a patch; - for stdout',
      },
      {
        name: 'as',
        value: 'KIND',
        choices: ['delta', 'patch', 'ranges'],
        summary: 'what FILE is to be (default: by .vmdk a delta, by .json the ranges as JSON, else a patch)',
      },
      {
        name: 'by',
        value: 'WHAT',
        choices: ['file', 'partition'],
        summary: 'which files of ext and FAT file systems differ, or how much of each partition',
      },
      ...PAIR_POINT_OPTIONS,
    ],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit diff web-01.vmdk web-01-000001.vmdk',
      'vmdkit diff web-01.vmdk web-01-000001.vmdk --output ndjson',
      'vmdkit diff web-01.vmdk web-01-000001.vmdk --by file',
      'vmdkit diff base.vmdk copy.vmdk -o copy-as-delta.vmdk',
      'vmdkit diff base.vmdk copy.vmdk -o changed.json',
      'vmdkit diff web-01.vmx --at uid:1 --at uid:2',
    ],
    notes: [
      'What turns A into B, in whole sectors. A and B may be any two disks, also points of one tree: what both take from the same place is not read.',
    ],
    load: () => import('./commands/diff.ts'),
  },
  {
    name: 'apply',
    summary: 'a patch of diff put over a disk, proved before and after',
    operands: [{ name: 'PATCH', stream: true }, { name: 'DISK' }],
    options: [
      {
        name: 'drop-change-tracking',
        summary: 'drop the change tracking of the disk, which the write makes stale',
      },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disk (default refuse)',
      },
    ],
    opensDisks: true,
    examples: [
      'vmdkit diff old.vmdk new.vmdk -o update.patch',
      'vmdkit apply update.patch copy-of-old.vmdk',
      'vmdkit diff old.vmdk new.vmdk -o - | ssh HOST vmdkit apply - copy-of-old.vmdk',
    ],
    notes: [
      'Nothing is written unless the patch is whole and DISK holds what the patch was made from. A disk that is up to date already stays as it is. After an interruption, --force goes on; what comes out is proved in any case.',
      'With - the patch comes from stdin, and is kept beside DISK until it is applied.',
    ],
    load: () => import('./commands/apply.ts'),
  },
  {
    name: 'resize',
    summary: 'another size for a disk: larger, or smaller where its end is nothing but zeros',
    operands: [{ name: 'DISK' }, { name: 'SIZE' }],
    options: [
      {
        name: 'shrink',
        summary: 'make it smaller; refused unless what is cut off is zeros, or with --force',
      },
      {
        name: 'tree',
        summary: 'resize the base below DISK and everything that stands on it, together',
      },
      {
        name: 'scan',
        value: 'DIR',
        many: true,
        summary: '--tree: look through DIR for further disks (may be repeated)',
      },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disk (default refuse)',
      },
      { name: 'dry-run', short: 'n', summary: 'prove that it can be done, and change nothing' },
    ],
    opensDisks: true,
    examples: [
      'vmdkit resize data.vmdk 80G',
      'vmdkit resize data.vmdk 20G --shrink',
      'vmdkit resize web-01-000002.vmdk 80G --tree',
    ],
    notes: [
      'VMware opens no chain whose links differ in size: a delta, or a disk that others stand on, is resized with --tree together with the whole tree, whose machines must be off. Partitions and file systems are not touched.',
      'Flat files get longer or shorter where they are; sparse extents are written anew, which takes as much free space as they do.',
    ],
    load: () => import('./commands/resize.ts'),
  },
  {
    name: 'compact',
    summary: 'the files of a disk as small as what it holds: without zeros, without what its parent has',
    operands: [{ name: 'DISK' }],
    options: [
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disk (default refuse)',
      },
      { name: 'dry-run', short: 'n', summary: 'read all, tell what would be dropped, and change nothing' },
    ],
    opensDisks: true,
    examples: ['vmdkit compact web-01.vmdk', 'vmdkit compact web-01.vmdk --dry-run'],
    notes: [
      'What the disk reads as stays the same, and so does its CID: disks that stand on it are as before. Sparse extents are written anew, which takes as much free space as they do at most; in flat files zeros become holes, where the file system can have them.',
    ],
    load: () => import('./commands/compact.ts'),
  },
  {
    name: 'rename',
    summary: 'another name or folder for a disk, its extents, and all that names it',
    operands: [{ name: 'OLD' }, { name: 'NEW' }],
    options: [
      {
        name: 'dry-run',
        short: 'n',
        summary: 'tell what would be renamed and rewritten; nothing is changed',
      },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disks (default refuse)',
      },
    ],
    opensDisks: true,
    examples: [
      'vmdkit rename golden.vmdk golden-2024.vmdk',
      'vmdkit rename lab/golden.vmdk archive/golden.vmdk',
    ],
    notes: [
      'NEW ends in .vmdk, in a folder that exists, on the same file system. The disks that stand on OLD are found around it and by its register; the .vmx and .vmsd of machines that name it, which must be off, are rewritten with it.',
    ],
    load: () => import('./commands/rename.ts'),
  },
];

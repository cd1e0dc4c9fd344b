// The commands that change who stands on whom in a tree of disks, declared; see commands.ts.
import type { CommandSpec } from './command-module.ts';
import type { OptionSpec } from './command.ts';

const COMMON: readonly OptionSpec[] = [
  { name: 'scan', value: 'DIR', many: true, summary: 'look here too for what stands on the disks' },
  {
    name: 'no-register',
    summary: 'do not note in the folders of the disks who stands on them now',
  },
  {
    name: 'locked',
    value: 'WHAT',
    choices: ['refuse', 'ignore'],
    summary: 'locks that others have on the disks (default refuse)',
  },
  { name: 'dry-run', short: 'n', summary: 'print the plan, change nothing' },
];

const WHOLE =
  'All happens together or not at all: a run that was killed is finished or undone by the next. Every disk that stands on what changes reads as before, or the command refuses with its name (exit code 4).';

export const TREE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'commit',
    summary:
      'merge a delta into the disk below it, which then reads as the delta; siblings keep what they read',
    operands: [{ name: 'DELTA' }],
    options: [
      { name: 'into', value: 'LINK', summary: 'the link below that it goes into (default: its parent)' },
      {
        name: 'remove',
        summary: 'the delta goes, with links between that nobody else needs (default: it stays, empty)',
      },
      { name: 'in-place', summary: 'write into LINK where it stands, without a copy of it' },
      ...COMMON,
    ],
    opensDisks: true,
    examples: [
      'vmdkit commit web-01-000001.vmdk --dry-run',
      'vmdkit commit web-01-000001.vmdk --remove',
      'vmdkit commit web-01-000003.vmdk --into web-01.vmdk',
    ],
    notes: [
      WHOLE,
      'What changes under a sibling of DELTA is copied into it, where it has nothing of its own. LINK gets the CID of DELTA. A machine or snapshot that names LINK itself would read other content: refused without --force; snapshots of a machine are deleted with vmdkit snapshot.',
      'With --in-place nobody but DELTA may stand on LINK. When that is interrupted, everything above reads as before, and LINK is between old and new, as vmdkit check says then, until the same command has run again.',
    ],
    load: () => import('./commands/commit.ts'),
  },
  {
    name: 'rebase',
    summary: 'another parent for a disk, which reads as before; --unsafe changes its descriptor alone',
    operands: [{ name: 'DISK' }],
    options: [
      { name: 'backing', value: 'PARENT', summary: 'the new parent; none: the disk then stands alone' },
      { name: 'unsafe', summary: 'change only parentCID and hint, whatever the disk reads as then' },
      ...COMMON,
    ],
    opensDisks: true,
    examples: [
      'vmdkit rebase web-01.vmdk --backing golden-2025.vmdk',
      'vmdkit rebase web-01.vmdk --backing archive/golden.vmdk --unsafe',
      'vmdkit rebase web-01.vmdk --backing none',
    ],
    notes: [
      WHOLE,
      'What PARENT has otherwise is copied into DISK; what it has alike is left to it. --unsafe is right when PARENT holds what the old parent held, a copy that moved for example: it works on a broken chain as well, and refuses where disks that read well now stand on DISK.',
    ],
    load: () => import('./commands/rebase.ts'),
  },
  {
    name: 'consolidate',
    summary: 'merge the links of a chain, or some of them, so that fewer are left',
    operands: [{ name: 'DISK' }],
    options: [
      { name: 'from', value: 'LINK', summary: 'the highest link that may change (default: DISK)' },
      {
        name: 'above',
        value: 'LINK',
        summary: 'the link that stays below what is merged (default: none, the base may go as well)',
      },
      ...COMMON,
    ],
    opensDisks: true,
    examples: [
      'vmdkit consolidate web-01.vmdk --dry-run',
      'vmdkit consolidate web-01.vmdk --above golden.vmdk',
    ],
    notes: [
      WHOLE,
      'A link goes into the one above it, under whose name both live on, when nothing else stands on it and no machine names it. Links that are needed stay and are listed; when all are, the exit code is 4. vmdkit snapshot VM consolidate is for machines.',
    ],
    load: () => import('./commands/consolidate.ts'),
  },
  {
    name: 'promote',
    summary: 'a linked clone becomes a full disk that needs no other, in place',
    operands: [{ name: 'DISK' }],
    options: [
      {
        name: 'type',
        short: 't',
        value: 'TYPE',
        summary:
          'createType then: its own where that can be (monolithicSparse, twoGbMaxExtentSparse), else vmfs or monolithicSparse',
      },
      ...COMMON,
    ],
    opensDisks: true,
    examples: ['vmdkit promote web-01.vmdk', 'vmdkit promote web-01.vmdk --type monolithicFlat'],
    notes: [
      WHOLE,
      'The disks below are only read. Name, content and CID of DISK stay, so that machines and what stands on it go on.',
    ],
    load: () => import('./commands/promote.ts'),
  },
  {
    name: 'shadow',
    summary: 'a new base from a chain that is too deep; disks moved onto it, or new deltas of it',
    operands: [{ name: 'DISK' }, { name: 'NEW' }],
    options: [
      {
        name: 'move',
        value: 'LEAF',
        many: true,
        summary: 'a disk that stands on NEW then, reading as before',
      },
      { name: 'clone', value: 'FILE', many: true, summary: 'a new, empty delta of NEW' },
      {
        name: 'type',
        short: 't',
        value: 'TYPE',
        summary: 'createType of NEW (default: vmfs where the chain is ESX’s, else monolithicSparse)',
      },
      ...COMMON,
    ],
    opensDisks: true,
    examples: [
      'vmdkit shadow web-01-000030.vmdk web-01-base.vmdk --move web-01-000030.vmdk',
      'vmdkit shadow golden-000031.vmdk golden-2.vmdk --clone lab/web-41.vmdk --clone lab/web-42.vmdk',
    ],
    notes: [
      WHOLE,
      'NEW has the content and the CID of DISK, which may be moved onto it itself. What moves keeps only what differs. NEW says in its disk database (ddb.vmdkit.shadowOf) which disk it was made of, and vmdkit info shows it.',
    ],
    load: () => import('./commands/shadow.ts'),
  },
];

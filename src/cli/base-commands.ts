// The commands that look after bases and what stands on them, declared: relink, remove, guard. Part of the one list of
// commands.
import type { CommandSpec } from './command-module.ts';

export const BASE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'relink',
    summary: 'after a base moved or was renamed: the hints of all that stands on it, written anew at once',
    operands: [{ name: 'DIR', many: true }],
    options: [
      { name: 'base', value: 'FILE', many: true, summary: 'a disk that moved, where it is now' },
      {
        name: 'hint',
        value: 'STYLE',
        choices: ['relative', 'absolute'],
        summary: 'how parents are named (default: as each hint was)',
      },
      { name: 'keep-going', summary: 'relink what fits although other disks do not' },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disks (default refuse)',
      },
      { name: 'dry-run', short: 'n', summary: 'print the plan, change nothing' },
    ],
    opensDisks: true,
    examples: [
      'vmdkit relink /mnt/ds1 --dry-run',
      'vmdkit relink lab --base archive/golden.vmdk',
      'vmdkit relink /mnt/ds1 --map /mnt/ds1/golden=/mnt/ds1/archive/golden',
    ],
    notes: [
      'Every delta below DIR whose hint does not lead to its parent is looked at. The parent is found where --map OLD=NEW leads, among the disks named by --base, else by its CID among all disks below DIR. --base and --map narrow the work to what they name. CID, size and circles are checked before anything is written; when one disk does not fit, nothing is changed and the exit code is 4.',
      'Only hints change, and in .vmsd files the paths that name the old place. A run that was killed is finished or undone by the next.',
    ],
    load: () => import('./commands/relink.ts'),
  },
  {
    name: 'remove',
    summary: 'delete clones: exactly their own files, never one that anything else needs',
    operands: [{ name: 'VM_OR_DISK', many: true }],
    options: [
      { name: 'scan', value: 'DIR', many: true, summary: 'look here too for what stands on the disks' },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disks (default refuse)',
      },
      { name: 'dry-run', short: 'n', summary: 'print what goes and what stays, remove nothing' },
    ],
    opensDisks: true,
    examples: [
      'vmdkit remove lab/web-07/web-07.vmx --dry-run',
      'vmdkit remove lab/web-*/',
      'vmdkit remove clones/web-01.vmdk',
    ],
    notes: [
      'Of a machine go the disks in its folder down to its sentinel, or to the first that is shared, its .vmx, .vmsd, .vmxf, nvram, logs and what a suspend or a snapshot left. What it names elsewhere stays, and so do files that nobody knows; the folder goes when it is empty. The machine that it was cloned from forgets it.',
      'A disk that any other machine or disk needs is refused with exit code 4, and --force does not change that: the surroundings are scanned and the register beside the disk is asked. All goes or nothing; a run that was killed is finished or undone by the next.',
    ],
    load: () => import('./commands/remove.ts'),
  },
  {
    name: 'guard',
    summary: 'keep a base from being written: read-only files, a fingerprint, and what changed since',
    operands: [{ name: 'BASE' }],
    options: [
      { name: 'set', summary: 'record a fingerprint of the contents, and make the files read-only' },
      {
        name: 'check',
        summary: 'compare with the fingerprint: what changed, and who shows it (the default)',
      },
      { name: 'release', summary: 'make the files writable as they were, and forget the fingerprint' },
      {
        name: 'restore-cid',
        summary:
          'give the recorded CID back, when the fingerprint proves that no contents changed; with --force also when no disk above shows what did',
      },
      { name: 'scan', value: 'DIR', many: true, summary: 'look here too for what stands on the base' },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: 'locks that others have on the disk (default refuse)',
      },
    ],
    opensDisks: true,
    examples: [
      'vmdkit guard golden/golden.vmdk --set',
      'vmdkit guard golden/golden.vmdk',
      'vmdkit guard golden/golden.vmdk --restore-cid',
    ],
    notes: [
      'For a base that was started by mistake: its CID is another then, and nothing above it opens any more. --check reads the whole disk and tells which stretches changed, to the nearest 64 KiB, and which disks above show that; what a disk has itself hides what is below it. Exit codes: 0 as recorded, 1 changed in any way, 3 not guarded.',
      '--restore-cid refuses (exit code 4) when anything in the base changed; when every disk above has data of its own there, --force goes ahead. The fingerprint is a file beside the base, BASE.guard.',
    ],
    load: () => import('./commands/guard.ts'),
  },
];

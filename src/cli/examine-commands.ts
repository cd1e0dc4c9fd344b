// The commands that examine disks as evidence, declared; see commands.ts. Each reads through a store that cannot write.
import type { CommandSpec } from './command-module.ts';
import { PARTIAL_OPTION, POINT_OPTIONS } from './point-options.ts';

export const EXAMINE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'hash',
    summary: 'hashes of what a disk reads as, of what each link has itself, of its files, of pieces',
    operands: [{ name: 'DISK' }],
    options: [
      {
        name: 'algo',
        value: 'LIST',
        many: true,
        summary: 'md5, sha1, sha256 (default), sha512; several, with commas, in one pass',
      },
      { name: 'per-link', summary: 'also what each link has itself, and each of its files' },
      { name: 'links-only', summary: 'the same without the merged content' },
      { name: 'piece', value: 'SIZE', summary: 'also each piece of SIZE of the merged content' },
      {
        name: 'sparse',
        summary:
          'also a hash of the blocks that are not zeros, which costs no more than the data (see below)',
      },
      {
        name: 'sparse-only',
        summary:
          'that hash alone, of each file as well, and pieces where asked for: nothing that takes as long as the disk is large',
      },
      {
        name: 'format',
        value: 'FORMAT',
        choices: ['sum', 'tag', 'hashdeep', 'dfxml'],
        summary: 'as md5sum, as sha256sum --tag (several hashes), as hashdeep, as DFXML',
      },
      { name: 'name', value: 'NAME', summary: 'what the merged content is called there (default DISK.raw)' },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit hash web-01-000002.vmdk --algo md5,sha256',
      "vmdkit hash web-01.vmx --at 'before the upgrade' --per-link --manifest ../run.json",
      'vmdkit hash web-01.vmdk --links-only --format sum | sha256sum -c',
      'vmdkit hash web-01.vmdk --algo md5,sha256 --piece 1M --format hashdeep > web-01.deep',
    ],
    notes: [
      'The merged content has the hash of `vmdkit convert DISK DISK.raw` and of `qemu-img convert -O raw`. Holes are hashed as zeros without being read; yet a terabyte of zeros takes as long to hash as one of data. --sparse gives SHA-256 over the blocks of 64 KiB that are not all zero, each with its number before it: two disks that read the same have the same.',
      'Of 62 TiB that are nearly all holes: --sparse-only --piece 64M --output ndjson. A piece of nothing but zeros is hashed once, however many there are.',
      'A link has as its own data the sectors that it answers itself, one after the other. In sum files stand the merged content and the files, which is what there is to check.',
    ],
    load: () => import('./commands/hash.ts'),
  },
  {
    name: 'which',
    summary: 'which link, file and byte answer a sector, what lies below it, and since which snapshot',
    operands: [{ name: 'DISK' }, { name: 'ADDRESS' }],
    options: [
      {
        name: 'files',
        summary:
          'also which file of a file system on the disk it is (ext2 to ext4, FAT); all files are walked',
      },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit which web-01-000002.vmdk 4096s --files',
      'vmdkit which web-01.vmx 0x200000 --at uid:2',
    ],
    notes: [
      'A number is a byte, in decimal, with a unit, or in hexadecimal with 0x; 4096s is sector 4096. When a snapshot was taken stands in the .vmsd of the machine, which is looked for beside the disk.',
    ],
    load: () => import('./commands/which.ts'),
  },
  {
    name: 'timeline',
    summary: 'snapshots, links with their CIDs, times of files and lines of vmware.log, in one order',
    operands: [{ name: 'VM_OR_DISK' }],
    options: [
      { name: 'whole-logs', summary: 'every line of the logs, not those about disks and power alone' },
      ...POINT_OPTIONS,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: [
      'vmdkit timeline web-01/web-01.vmx',
      'vmdkit timeline web-01.vmdk --output ndjson',
      'vmdkit timeline web-01.vmx --at uid:2',
    ],
    notes: [
      'All times are UTC. Each event says where its time stands: a snapshot in the .vmsd, a file in the file system, a line in its log. "Came to this file system" is younger than the file where it was copied. Lines of old releases have no year and no zone: they are counted, not placed.',
      'With --at only the links that the disks had then, and the snapshots that led there; logs stay whole. Nothing is left out for its time: a link written after the snapshot that froze it is worth knowing.',
    ],
    load: () => import('./commands/timeline.ts'),
  },
  {
    name: 'slack',
    summary: 'what lies in the files of a disk and is no part of it: listed, hashed, extracted',
    operands: [{ name: 'DISK' }],
    options: [
      { name: 'extract', value: 'DIR', summary: 'write each item into a file in DIR' },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'always',
    examples: ['vmdkit slack web-01-000002.vmdk', 'vmdkit slack web-01.vmdk --extract ../slack'],
    notes: [
      'Of every link of the chain: grains and other space that no table refers to; bytes behind the end of flat files; grains of a delta that say what the disk below says already; comments and older text in descriptors. What nothing refers to and holds zeros is counted only.',
    ],
    load: () => import('./commands/slack.ts'),
  },
  {
    name: 'signs',
    summary: 'signs of tampering: CIDs, times, names and marks that contradict one another, each explained',
    operands: [{ name: 'VM_OR_DISK' }],
    options: POINT_OPTIONS,
    opensDisks: true,
    evidence: 'always',
    examples: ['vmdkit signs web-01/web-01.vmx', 'vmdkit signs web-01-000002.vmdk --json'],
    notes: [
      'No sign is a proof: each says what else explains it, and copying without times explains many. Exit codes: 0 none but remarks, 1 there are some. The structure of each disk is the affair of `vmdkit check --chain`.',
    ],
    load: () => import('./commands/signs.ts'),
  },
];

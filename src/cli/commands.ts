// Every command, declared. A new one is an entry here and a file in commands/; help, completion and the table in the
// README follow.
import { BASE_COMMANDS } from './base-commands.ts';
import { CHECK, RECOVER } from './check-declaration.ts';
import type { CommandSpec } from './command-module.ts';
import type { OptionSpec } from './command.ts';
import { EXAMINE_COMMANDS } from './examine-commands.ts';
import { FIXTURE_COMMAND } from './fixture-command.ts';
import { LOOK_COMMANDS, PARTITION } from './look-commands.ts';
import { MEASURE_COMMAND } from './measure-command.ts';
import { PARTIAL_OPTION, POINT_OPTIONS } from './point-options.ts';
import { SERVE_COMMANDS } from './serve-commands.ts';
import { TREE_COMMANDS } from './tree-commands.ts';
import { UPKEEP_COMMANDS } from './upkeep-commands.ts';

const START: OptionSpec = { name: 'start', value: 'N', summary: 'first byte (default 0)' };
const LENGTH: OptionSpec = { name: 'length', value: 'N', summary: 'bytes (default: to the end of the disk)' };

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'info',
    summary: 'what a disk or a machine is: sizes, type, CIDs, extents, snapshots, findings at a glance',
    operands: [{ name: 'DISK' }],
    options: [{ name: 'chain', summary: 'describe every link, leaf first' }, ...POINT_OPTIONS],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit info web-01.vmdk',
      'vmdkit info web-01.vmdk --chain --json',
      'vmdkit info web-01.vmx --root /mnt/ds1',
    ],
    notes: [
      'DISK may be a .vmx: then the whole machine is described, with its disks and their chains, its snapshots as a tree, whose linked clone it is, locks, limits and what is wrong. With -v every limit is told.',
      'A disk that cannot be read is described too, with the reason. JSON has the keys of `qemu-img info` and more.',
    ],
    load: () => import('./commands/info.ts'),
  },
  {
    name: 'chain',
    summary: 'the links of a chain, leaf to base, with every check',
    operands: [{ name: 'DISK' }],
    options: POINT_OPTIONS,
    opensDisks: true,
    evidence: 'offered',
    examples: ['vmdkit chain web-01.vmdk', 'vmdkit chain web-01.vmdk --map /vmfs/volumes/ds1=/mnt/ds1'],
    notes: [
      'A broken chain is shown as far as it can be looked at, then what stops it; the exit code is 3, or 4 where that is a refusal. With -v the hints are shown as well.',
    ],
    load: () => import('./commands/chain.ts'),
  },
  {
    name: 'scan',
    summary: 'the disks and machines below folders: who stands on whom, orphans, broken hints, changed bases',
    operands: [{ name: 'DIR', optional: true, many: true }],
    options: [
      {
        name: 'format',
        value: 'FORMAT',
        choices: ['tree', 'json', 'dot', 'mermaid', 'svg'],
        summary: 'a text tree (default), JSON, or a drawing: Graphviz, Mermaid, SVG',
      },
      {
        name: 'who-uses',
        value: 'DISK',
        summary: 'only the machines and disks that stand on DISK; without DIR those around it',
      },
      {
        name: 'is-clone',
        value: 'VM',
        summary: 'whether VM (a .vmx) is a linked clone, and why: exit code 0 for yes, 1 for no',
      },
      {
        name: 'rebuild-register',
        summary: 'write anew the registers of who stands on what, beside the disks',
      },
    ],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit scan /mnt/ds1',
      'vmdkit scan /mnt/ds1 --format svg > ds1.svg',
      'vmdkit scan --who-uses golden/golden.vmdk',
      'vmdkit scan --is-clone lab-01/lab-01.vmx && echo linked',
    ],
    notes: [
      'Reads only, unless --rebuild-register is given. Symbolic links are not followed, folders that cannot be read are told and passed by.',
      'A disk, delta or snapshot is called unused when no machine found, no snapshot and no other disk refers to it: name all folders whose machines may.',
    ],
    load: () => import('./commands/scan.ts'),
  },
  {
    name: 'map',
    summary: 'which sectors are absent, zero or data, and which file and offset answers them',
    operands: [{ name: 'DISK' }],
    options: [START, LENGTH, ...POINT_OPTIONS, PARTIAL_OPTION],
    opensDisks: true,
    evidence: 'offered',
    examples: ['vmdkit map web-01.vmdk', 'vmdkit map web-01.vmdk --start 1M --length 64k --output ndjson'],
    notes: ['JSON has the keys of `qemu-img map` and a file name for each run. Depth 0 is the disk itself.'],
    load: () => import('./commands/map.ts'),
  },
  CHECK,
  RECOVER,
  {
    name: 'cat',
    summary: 'the bytes the guest sees, to a pipe or a file',
    operands: [{ name: 'DISK' }],
    options: [
      START,
      LENGTH,
      { name: 'to', short: 'o', value: 'FILE', stream: true, summary: 'write to FILE, not to stdout' },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
      {
        name: 'file',
        value: 'PATH',
        summary: 'the file PATH of a file system on the disk (ext2 to ext4, FAT)',
      },
      PARTITION,
    ],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit cat web-01.vmdk | sha256sum',
      'vmdkit cat web-01.vmdk --length 1s -o mbr.bin',
      'vmdkit cat web-01.vmdk --file /etc/hosts',
    ],
    load: () => import('./commands/cat.ts'),
  },
  {
    name: 'convert',
    summary: 'a disk with all that is below it, or a raw file, to a disk of any type; - for a stream',
    operands: [
      { name: 'SRC', stream: true },
      { name: 'DST', stream: true },
    ],
    options: [
      {
        name: 'target-type',
        short: 'O',
        value: 'TYPE',
        summary: 'raw (default), or a createType; in any spelling',
      },
      {
        name: 'from',
        value: 'FORMAT',
        choices: ['vmdk', 'raw'],
        summary: 'what SRC is (default vmdk; raw for -)',
      },
      { name: 'backing', value: 'PARENT', summary: 'make a delta above PARENT: only what differs is stored' },
      {
        name: 'hint',
        value: 'HINT',
        summary: 'how a delta names its parent: relative (default), absolute, or text',
      },
      {
        name: 'adapter',
        value: 'TYPE',
        summary: 'lsilogic, buslogic, ide or legacyESX (default: as the source)',
      },
      { name: 'hardware-version', value: 'N', summary: 'ddb.virtualHWVersion (default 10)' },
      { name: 'grain', value: 'SIZE', summary: 'size of a grain, sparse types' },
      { name: 'thin', summary: 'vmfs: holes in place of zeros' },
      { name: 'preallocate', summary: 'flat types: write every zero, so that the space is taken' },
      { name: 'level', value: 'N', summary: 'streamOptimized: compression, 1 to 9 (default 6)' },
      {
        name: 'no-sync',
        summary: 'do not wait until the medium has all of DST: a loss of power soon after may damage it',
      },
      {
        name: 'no-register',
        summary: 'do not note in the folder of the base that something stands on it',
      },
      {
        name: 'salvage',
        summary: 'go on where SRC cannot be read: zeros stand for it, and it is listed; exit code 1',
      },
      ...POINT_OPTIONS,
      PARTIAL_OPTION,
    ],
    opensDisks: true,
    evidence: 'offered',
    examples: [
      'vmdkit convert web-01-000002.vmdk web-01.raw',
      'vmdkit convert web-01.vmdk web-01-export.vmdk -O streamOptimized',
      'vmdkit convert web-01.vmdk - -O streamOptimized | ssh host "cat > web-01.vmdk"',
      'vmdkit convert web-01-000002.vmdk flat/web-01.vmdk -O vmfs --thin',
      'zcat disk.raw.gz | vmdkit convert - disk.vmdk -O monolithicSparse',
      'vmdkit convert web-01-000007.vmdk web-01-one.vmdk --backing web-01.vmdk',
    ],
    notes: [
      'Types: raw, monolithicSparse, monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, vmfs, streamOptimized, seSparse (not for ESXi); with --backing monolithicSparse, twoGbMaxExtentSparse, vmfsSparse, seSparse. To - go raw and streamOptimized.',
      'The target appears under its name when it is complete; an interrupted run leaves nothing. A target that exists is refused without --force. What cannot be read is an error that says where.',
    ],
    load: () => import('./commands/convert.ts'),
  },
  MEASURE_COMMAND,
  {
    name: 'create',
    summary: 'a new, empty disk; with --backing a new delta above a disk',
    operands: [{ name: 'DISK' }, { name: 'SIZE', optional: true }],
    options: [
      { name: 'backing', value: 'PARENT', summary: 'the disk that the delta is made above' },
      {
        name: 'type',
        short: 't',
        value: 'TYPE',
        summary:
          'createType: monolithicSparse (default), monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, vmfs; of a delta what VMware would choose, or monolithicSparse, twoGbMaxExtentSparse, vmfsSparse, seSparse',
      },
      {
        name: 'hint',
        value: 'STYLE',
        summary: 'how a delta names its parent: relative (default), absolute, or the hint itself',
      },
      { name: 'grain', value: 'SIZE', summary: 'grain size of sparse types (default 64k)' },
      { name: 'adapter', value: 'NAME', summary: 'lsilogic (default), buslogic, ide or legacyESX' },
      { name: 'hardware-version', value: 'N', summary: 'virtual hardware version (default 10)' },
      { name: 'thin', summary: 'vmfs: space is taken as it is written' },
      { name: 'preallocate', summary: 'flat types: take all space now' },
      {
        name: 'no-register',
        summary: 'do not note in the folder of the base that something stands on it',
      },
    ],
    opensDisks: true,
    examples: [
      'vmdkit create base.vmdk 40G',
      'vmdkit create base.vmdk 2T --type vmfs --thin',
      'vmdkit create web-01.vmdk --backing base.vmdk',
    ],
    notes: ['The parent is opened for reading only. A target that exists is refused, whatever --force says.'],
    load: () => import('./commands/create.ts'),
  },
  {
    name: 'clone',
    summary: 'clones of a machine (.vmx) or linked clones of disks: one or a thousand, planned first',
    operands: [{ name: 'BASE', many: true, stream: true }],
    options: [
      { name: 'into', value: 'DIR', summary: 'the folder for the clones; made when it is missing' },
      { name: 'count', value: 'N', summary: 'how many clones (default 1)' },
      {
        name: 'name',
        value: 'TEMPLATE',
        summary:
          'what they are called: {n} or {n:02} is the number, {01..20} counts by itself, {base} the name of the base',
      },
      { name: 'start', value: 'N', summary: 'the first number (default 1)' },
      {
        name: 'hint',
        value: 'STYLE',
        choices: ['relative', 'absolute'],
        summary: 'how a clone names its base (default relative)',
      },
      {
        name: 'type',
        short: 't',
        value: 'TYPE',
        summary:
          'createType of the deltas: monolithicSparse, twoGbMaxExtentSparse, vmfsSparse, seSparse (default: what VMware would choose)',
      },
      {
        name: 'layout',
        value: 'LAYOUT',
        choices: ['files', 'folders'],
        summary: 'DIR/NAME.vmdk, or DIR/NAME/NAME.vmdk (default: as the base stands, see below)',
      },
      {
        name: 'snapshot',
        value: 'NAME|UID',
        summary: 'machines: clone this snapshot, not the running point',
      },
      {
        name: 'freeze',
        summary:
          'machines: fork the running point first, so that the source can go on without breaking its clones',
      },
      { name: 'linked', summary: 'machines: deltas above the disks of the source (the default)' },
      { name: 'full', summary: 'machines: copies that stand alone' },
      {
        name: 'media',
        value: 'RULE',
        choices: ['keep', 'drop'],
        summary: 'machines: ISO images and floppies in the drives (default keep)',
      },
      {
        name: 'independent',
        value: 'RULE',
        choices: ['copy', 'link', 'drop'],
        summary: 'machines: independent disks, which snapshots leave out (default copy)',
      },
      {
        name: 'register-script',
        value: 'FILE',
        summary: 'machines: write the commands that register the clones (vim-cmd, govc)',
      },
      { name: 'keep-going', summary: 'a clone that cannot be made does not keep the others from being made' },
      {
        name: 'no-register',
        summary: 'do not note in the folder of the base that something stands on it',
      },
      { name: 'dry-run', short: 'n', summary: 'print the plan, make nothing' },
    ],
    opensDisks: true,
    examples: [
      'vmdkit clone golden/golden.vmdk --into lab --count 8 --dry-run',
      'vmdkit clone golden.vmdk --into lab --count 200 --name "web-{n:03}"',
      'vmdkit clone system.vmdk data.vmdk --into lab - < names.txt',
      'vmdkit clone golden/golden.vmx --into . --snapshot patched --name "lab-{01..20}"',
      'vmdkit clone golden/golden.vmx --into . --freeze - < machines.csv',
    ],
    notes: [
      'With - names come from stdin: one a line, or one JSON object a line with a "name", or a JSON array of these, or a table (CSV) with a column "name"; what else it holds is given back with the result. Of machines, "uuid", "mac", "mac0" to "mac9", "display-name" and "annotation" are theirs.',
      'A machine must be off, unless a snapshot of it is cloned. Each clone gets a folder with its own .vmx, .vmsd, nvram and disks, and a UUID and addresses of its own.',
      'Clones stand as their base does. When the base has a folder of its own below DIR, as on a datastore, each clone gets one: DIR/NAME/NAME.vmdk. Else they are files: DIR/NAME.vmdk. Several bases give a folder for each clone, with NAME-BASE.vmdk for each base.',
      'Bases are only read. All clones are made or none, unless --keep-going. A run that was killed is finished or undone by the next run into DIR; if it ran on another host, only with --force.',
    ],
    load: () => import('./commands/clone.ts'),
  },
  {
    name: 'snapshot',
    summary: 'offline snapshots of a machine: create, list, revert, delete, rename, consolidate',
    operands: [
      { name: 'VM' },
      { name: 'ACTION' },
      { name: 'SNAPSHOT', optional: true },
      { name: 'NEW-NAME', optional: true },
    ],
    options: [
      { name: 'description', value: 'TEXT', summary: 'create, rename: what the snapshot is for' },
      { name: 'children', summary: 'delete: all snapshots that come from it too' },
      {
        name: 'in-place',
        summary: 'delete, consolidate: merge into a base where it stands, without a copy of it',
      },
      { name: 'keep-disks', summary: 'delete: only the name goes; every disk stays as it is' },
      { name: 'dry-run', short: 'n', summary: 'print the plan, change nothing' },
    ],
    opensDisks: true,
    examples: [
      "vmdkit snapshot web-01.vmx create 'before the upgrade'",
      'vmdkit snapshot web-01.vmx list',
      'vmdkit snapshot web-01.vmx delete uid:3 --children --dry-run',
      "vmdkit snapshot web-01.vmx revert 'before the upgrade' --force",
    ],
    notes: [
      'The machine must be powered off. SNAPSHOT is a name or a uid (uid:3 is always the uid); of create it is the new name. Every change is made whole or not at all: what a run that was killed began is undone or finished by the next.',
      'delete merges disks that no snapshot stands for any more, and removes those that nobody reads; what the other snapshots and the machine read stays the same. It refuses (exit code 4) where linked clones or other disks would break, and names them.',
      'revert gives up what the machine wrote since its last snapshot: it refuses unless nothing was written, or --force is given.',
    ],
    load: () => import('./commands/snapshot.ts'),
  },
  ...BASE_COMMANDS,
  {
    name: 'write',
    summary: 'write bytes or zeros into a leaf',
    operands: [{ name: 'DISK' }, { name: 'FILE', optional: true, stream: true }],
    options: [
      { name: 'offset', value: 'N', summary: 'where the first byte goes' },
      { name: 'zero', value: 'LENGTH', summary: 'write zeros, by metadata where possible' },
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
      'vmdkit write web-01.vmdk --offset 1M hosts.txt',
      'vmdkit write web-01.vmdk --offset 1M --zero 64k',
    ],
    notes: [
      'Reads stdin without FILE or with "-". Disks below the leaf are never written. Writing to a disk that others have as their parent makes these unreadable: write into a delta.',
    ],
    load: () => import('./commands/write.ts'),
  },
  ...EXAMINE_COMMANDS,
  ...LOOK_COMMANDS,
  ...UPKEEP_COMMANDS,
  ...TREE_COMMANDS,
  ...SERVE_COMMANDS,
  FIXTURE_COMMAND,
  {
    name: 'completion',
    summary: 'a script that teaches your shell the commands and options: bash (default), zsh or fish',
    operands: [{ name: 'SHELL', optional: true }],
    examples: ['source <(vmdkit completion bash)'],
    load: () => import('./commands/completion.ts'),
  },
];

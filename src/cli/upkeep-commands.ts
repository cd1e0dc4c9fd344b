// The commands that compare disks and change their shape, declared; see commands.ts.
import type { CommandSpec } from './command-module.ts';

export const UPKEEP_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'compare',
    summary: 'whether two disks hold the same; reads only what may differ',
    operands: [{ name: 'A' }, { name: 'B' }],
    options: [
      { name: 'strict', summary: 'disks of different sizes differ, whatever they hold' },
      { name: 'first', summary: 'stop at the first difference' },
    ],
    opensDisks: true,
    examples: [
      'vmdkit compare web-01.vmdk web-01-copy.vmdk',
      'vmdkit compare before.vmdk after.vmdk --first -q || echo changed',
    ],
    notes: [
      'Exit codes: 0 equal, 1 different. Without --strict the larger disk must hold zeros past the end of the smaller.',
    ],
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'diff',
    summary: 'the ranges in which two disks differ',
    operands: [{ name: 'A' }, { name: 'B' }],
    opensDisks: true,
    examples: [
      'vmdkit diff web-01.vmdk web-01-000001.vmdk',
      'vmdkit diff web-01.vmdk web-01-000001.vmdk --output ndjson',
    ],
    notes: [
      'What turns A into B, in whole sectors. A and B may be any two disks, also points of one tree: what both take from the same place is not read.',
    ],
    load: () => import('./commands/diff.ts'),
  },
];

// The declaration of fixture: test disks, sound or broken on purpose.
import type { CommandSpec } from './command-module.ts';

export const FIXTURE_COMMAND: CommandSpec = {
  name: 'fixture',
  summary: 'test disks from a spec: the same bytes for the same seed, sound or broken on purpose',
  operands: [{ name: 'SPEC', optional: true, stream: true }],
  options: [
    {
      name: 'to',
      short: 'o',
      value: 'DIR',
      stream: true,
      summary: 'a folder that is empty or new; - for a tar stream',
    },
    { name: 'dry-run', short: 'n', summary: 'make it in memory only, and say what it would be' },
    { name: 'fault', value: 'NAME', summary: 'in place of SPEC: a small disk that is broken in this way' },
    { name: 'list-faults', summary: 'every fault, what is wrong and what it must raise' },
    { name: 'verify', value: 'DIR', summary: 'prove a fixture that was written against its answers' },
  ],
  examples: [
    'vmdkit fixture chain.json -o chain',
    'vmdkit fixture chain.json -o - | tar x -C /srv',
    'vmdkit fixture --fault sparse-entry-past-end -o broken',
    'vmdkit fixture --verify chain',
  ],
  notes: [
    'SPEC is JSON (docs/schemas/fixture.v1.json), - for stdin. Beside the files goes expected.json: SHA-256, map and findings of every disk, told from the spec, not from reading the files.',
    'The same spec gives the same bytes on every machine and every Node version.',
  ],
  load: () => import('./commands/fixture.ts'),
};

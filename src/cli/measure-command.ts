// The declaration of measure: what convert would take.
import type { CommandSpec } from './command-module.ts';

export const MEASURE_COMMAND: CommandSpec = {
  name: 'measure',
  summary: 'how many bytes convert would take, exactly; nothing is written',
  operands: [{ name: 'SRC' }],
  options: [
    { name: 'target-type', short: 'O', value: 'TYPE', summary: 'raw (default), or a createType' },
    { name: 'from', value: 'FORMAT', choices: ['vmdk', 'raw'], summary: 'what SRC is (default vmdk)' },
    { name: 'backing', value: 'PARENT', summary: 'as a delta above PARENT' },
    {
      name: 'hint',
      value: 'STYLE',
      summary: 'how it would name its parent: relative (default), absolute, or text',
    },
    {
      name: 'adapter',
      value: 'TYPE',
      summary: 'lsilogic, buslogic, ide or legacyESX (default: as the source)',
    },
    { name: 'hardware-version', value: 'N', summary: 'ddb.virtualHWVersion (default 10)' },
    {
      name: 'name',
      value: 'NAME',
      summary:
        'what the disk would be called, or its path (default as SRC, beside it): descriptors name files',
    },
    { name: 'grain', value: 'SIZE', summary: 'size of a grain, sparse types' },
    { name: 'thin', summary: 'vmfs: holes in place of zeros' },
    { name: 'level', value: 'N', summary: 'streamOptimized: compression, 1 to 9 (default 6)' },
  ],
  opensDisks: true,
  examples: ['vmdkit measure web-01.vmdk -O streamOptimized', 'vmdkit measure web-01.vmdk -O vmfs --json'],
  notes: [
    'Everything is read, and compressed where the type is: the answer is exact. JSON has the keys of `qemu-img measure`.',
  ],
  load: () => import('./commands/measure.ts'),
};

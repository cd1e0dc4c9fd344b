// The options every command takes, and those of every command that opens disks. Rule: an option means the same in
// every command that has it.
import type { OptionSpec } from './command.ts';

export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'output',
    value: 'FORMAT',
    choices: ['human', 'json', 'ndjson'],
    summary: 'how results are printed (default human)',
  },
  { name: 'json', summary: 'the same as --output json' },
  { name: 'quiet', short: 'q', summary: 'no talk on stderr but errors' },
  { name: 'verbose', short: 'v', summary: 'more talk on stderr' },
  {
    name: 'progress',
    value: 'WHEN',
    choices: ['auto', 'always', 'never', 'json'],
    summary: 'progress on stderr (default auto: a bar on a terminal, a line now and then elsewhere)',
  },
  {
    name: 'color',
    value: 'WHEN',
    choices: ['auto', 'always', 'never'],
    summary: 'colours (default auto: on a terminal)',
  },
  { name: 'force', summary: 'go ahead where a refusal says that this may be done' },
  { name: 'no-native', summary: 'do without the optional native package' },
  { name: 'help', short: 'h', summary: 'show help' },
  { name: 'version', short: 'V', summary: 'show the version' },
];

export const DISK_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'root',
    value: 'DIR',
    summary: 'look below DIR for what hints place in /vmfs/volumes/… or on a [datastore]',
  },
  {
    name: 'map',
    value: 'FROM=TO',
    many: true,
    summary: 'look below TO for parents whose hint begins with FROM',
  },
  {
    name: 'allow',
    value: 'DIR',
    many: true,
    summary: 'let disks lead to files below DIR, or to this file; parents are also searched below it',
  },
  {
    name: 'allow-origin',
    value: 'URL',
    many: true,
    summary: 'read disks below URL: https://HOST/PATH, http://HOST/PATH, s3://BUCKET/KEY',
  },
  { name: 'confine', value: 'DIR', summary: 'open nothing outside DIR' },
  { name: 'accept-mismatch', summary: 'read on when the CID or the size of a parent does not fit' },
  {
    name: 'noaccess',
    value: 'WHAT',
    choices: ['refuse', 'zeros'],
    summary: 'extents marked NOACCESS (default refuse)',
  },
  {
    name: 'journal',
    value: 'WHAT',
    choices: ['refuse', 'ignore'],
    summary: 'a seSparse journal that was not replayed (default refuse)',
  },
];

/** Of every command that examines evidence. */
export const EVIDENCE_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'manifest',
    value: 'FILE',
    summary:
      'write a record of this run: version, arguments, host, times (UTC), and every file opened with size, times and SHA-256 before and after',
  },
  {
    name: 'manifest-hash',
    value: 'HOW',
    choices: ['auto', 'whole', 'sparse', 'none'],
    summary:
      'what of each file is hashed for it: all; the blocks that are not zeros; or (default auto) all, but for files with more than 16 GiB of holes. The record says which',
  },
  { name: 'examiner', value: 'NAME', summary: 'who examines, for the record' },
  { name: 'case', value: 'TEXT', summary: 'number or name of the case, for the record' },
  { name: 'beside-evidence', summary: 'let results go into a folder that holds evidence' },
];

/** Of commands that can do without. */
export const EVIDENCE_MODE: OptionSpec = {
  name: 'evidence',
  summary: 'treat what is read as evidence: nothing beside it is written, and a change meanwhile is an error',
};

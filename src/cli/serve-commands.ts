// The command that serves disks to other programs, declared; see commands.ts.
import type { CommandSpec } from './command-module.ts';

export const SERVE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'serve',
    summary:
      'disks for other programs, by NBD or HTTP: each link and each snapshot is an export; read-only unless told',
    operands: [{ name: 'DISK', many: true }],
    options: [
      {
        name: 'nbd',
        value: 'URI',
        summary:
          'where: nbd://HOST:PORT, nbd+unix:///?socket=PATH, nbds for TLS, or the path of a socket (default: a socket in a private folder)',
      },
      {
        name: 'http',
        value: 'ADDR',
        summary:
          'by HTTP: PORT or HOST:PORT (default host: the loopback); content by ranges, and an index; without --nbd, instead of it',
      },
      {
        name: 'overlay',
        value: 'FILE',
        summary:
          'writable, while DISK stays as it is: writes go into FILE, or with "temporary" are thrown away',
      },
      { name: 'write', summary: 'writable: writes go into DISK itself, the leaf; it is locked' },
      {
        name: 'exec',
        value: 'COMMAND',
        summary: 'run a shell command with $uri set ($http to the index), end with it and with its exit code',
      },
      {
        name: 'tls-certificates',
        value: 'DIR',
        summary: 'speak TLS: server-cert.pem, server-key.pem, and ca-cert.pem to verify clients',
      },
      {
        name: 'tls',
        value: 'RULE',
        choices: ['require', 'allow'],
        summary: 'clients without TLS are refused (default), or allowed',
      },
      { name: 'tls-verify-clients', summary: 'only clients with a certificate by ca-cert.pem' },
      { name: 'connections', value: 'N', summary: 'clients at once (default 128)' },
      {
        name: 'idle',
        value: 'SECONDS',
        summary: 'drop clients that ask for nothing so long (default: never)',
      },
      {
        name: 'drop-change-tracking',
        summary: '--write: drop the change tracking of the disk, which the writes make stale',
      },
      {
        name: 'locked',
        value: 'WHAT',
        choices: ['refuse', 'ignore'],
        summary: '--write, --overlay FILE: locks that others have (default refuse)',
      },
    ],
    opensDisks: true,
    examples: [
      'vmdkit serve web-01-000002.vmdk',
      'vmdkit serve web-01.vmx --nbd nbd://localhost:10809',
      'vmdkit serve web-01-000002.vmdk --http 8080',
      "vmdkit serve web-01.vmdk --overlay temporary --exec 'qemu-system-x86_64 -m 2G -drive file=$uri,format=raw'",
      "vmdkit serve web-01.vmdk --exec 'nbdcopy $uri web-01.raw'",
    ],
    notes: [
      'DISK may be a .vmx: then its disks are exports by their node (scsi0:0), those of its snapshots as SNAPSHOT/scsi0:0. Every link of every chain is an export by the name of its file, read-only. The first export is the default one, which needs no name.',
      'When it is ready, each export is a line on stdout: its URI, then what it is. With --json every event is one line. Ctrl-C ends it: what is under way is answered, what was written is made durable.',
      'Clients may flush, trim and write zeros, and ask what is allocated (base:allocation) and which link answers (qemu:allocation-depth). A flush that was answered survives a loss of power.',
    ],
    load: () => import('./commands/serve.ts'),
  },
];

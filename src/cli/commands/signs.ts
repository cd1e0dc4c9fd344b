// `vmdkit signs`: what contradicts itself in a chain or a machine, each with what else may explain it. Exit code 1 when
// there is anything above a remark.
import type { Finding } from '../../core/finding.ts';
import { findSigns, findSnapshotSigns } from '../../examine/signs.ts';
import { withChainAt } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { linkTimes, machineOf } from '../link-times.ts';
import { plural } from '../numbers.ts';
import { pointDisks } from '../points.ts';
import { shownPath } from '../shown-path.ts';

const COLOURS = { error: 'red', warning: 'yellow', info: 'dim' } as const;

export const run: CommandModule['run'] = async (args, context) => {
  const path = args.operand('VM_OR_DISK');
  // What opening gets past is part of the answer.
  const options = { ...(await chainOptionsOf(args, context)), acceptMismatch: true, onFinding: undefined };
  const machine = await machineOf(path, options, context);
  const disks = await pointDisks({ path, at: args.text('at'), node: args.text('disk') }, options, context);
  const found: Finding[] = [];
  if (machine !== undefined) {
    found.push(...(await findSnapshotSigns(context.store, machine.vmsdPath, machine.snapshots.snapshots)));
  }
  const history = machine === undefined ? undefined : linkTimes(machine);
  for (const disk of disks) {
    await withChainAt(disk.path, options, context, async (chain) => {
      found.push(...(await findSigns(context.store, { chain, history })));
      return EXIT.done;
    });
  }
  // Disks of one machine may share links.
  const signs = [
    ...new Map(found.map((each) => [`${each.code}\0${each.path}\0${each.message}`, each])).values(),
  ];
  if (context.format !== 'human') {
    if (context.format === 'json') {
      const from = machine === undefined ? {} : { machine: machine.path };
      await context.printJson({ schema: 'vmdkit-signs/v1', ...from, signs });
    } else for (const each of signs) await context.printJson(each);
  } else {
    const { paint } = context.stdout;
    for (const { code, severity, message, path: file } of signs) {
      await context.stdout.line(
        `${paint(COLOURS[severity], severity)} ${code} ${shownPath(file)}: ${message}`,
      );
    }
    await context.stdout.line(
      signs.length === 0 ? 'nothing contradicts itself' : `${plural(signs.length, 'sign')}; none is a proof`,
    );
  }
  return signs.some(({ severity }) => severity !== 'info') ? EXIT.no : EXIT.done;
};

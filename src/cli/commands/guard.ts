// `vmdkit guard`: a base that nobody should write to, remembered and compared.
import { usageError } from '../../core/errors.ts';
import { checkGuard, releaseGuard, restoreCid, setGuard } from '../../machine/guard.ts';
import type { GuardReport } from '../../machine/guard-types.ts';
import { assertHere } from '../../storage/remote-address.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { plural } from '../numbers.ts';

const ACTIONS = { set: setGuard, check: checkGuard, release: releaseGuard, 'restore-cid': restoreCid };
type Action = keyof typeof ACTIONS;

export const run: CommandModule['run'] = async (args, context) => {
  const given = (Object.keys(ACTIONS) as Action[]).filter((name) => args.flag(name));
  if (given.length > 1)
    throw usageError(`guard: ${given.map((name) => `--${name}`).join(' and ')} do not go together`);
  const action = given[0] ?? 'check';
  assertHere(args.operand('BASE'));
  const { fs, allow, confine, pathMap, noAccess, journal } = await chainOptionsOf(args, context);
  const options = {
    fs,
    allow,
    confine,
    pathMap,
    noAccess,
    journal,
    scan: args.texts('scan'),
    locked: args.text('locked') === 'ignore' ? ('ignore' as const) : ('refuse' as const),
    force: context.force,
    takeOver: context.force,
  };
  const report = await context.withProgress((task) =>
    ACTIONS[action](args.operand('BASE'), { ...options, ...task }),
  );
  await tell(report, context);
  return action === 'check' && report.verdict !== 'as-recorded' ? EXIT.no : EXIT.done;
};

/** An answer is data; what was done is talk. */
async function tell(report: GuardReport, context: CommandContext): Promise<void> {
  if (context.format !== 'human') return context.printJson(report);
  const { checkText, doneText } = await import('../guard-text.ts');
  for (const note of report.notes) context.warn(note);
  const { action, children } = report;
  if (action === 'check') {
    for (const line of checkText(report, context.verbose)) await context.stdout.line(line);
    return;
  }
  context.talk(doneText(report));
  if (action === 'release' && children.length > 0)
    context.warn(`${plural(children.length, 'disk')} still stand on it, and would break by a write`);
}

// What commands do about disks that others stand on: refuse to write to them, and note down new ones. Rule: a refusal is
// overridden only by --force; noting down never fails a command whose work is done.
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { filesOfDisk } from '../operations/with-locks.ts';
import { isUrl } from '../storage/place-names.ts';
import { assertHere } from '../storage/remote-address.ts';
import type { CommandContext } from './context.ts';
import { plural } from './numbers.ts';
import type { Arguments } from './parsed-arguments.ts';

type Looking = Pick<ChainOptions, 'allow' | 'confine' | 'pathMap'>;

/**
 * Before a disk is written to. `verb` begins the message: `writing to this disk`.
 * @throws VmdkError `base-has-children` unless --force is given; then it is a warning.
 */
export async function refuseToBreakSharers(
  path: string,
  verb: string,
  { allow, confine, pathMap }: Looking,
  context: CommandContext,
): Promise<void> {
  assertHere(path);
  const { assertNoSharers, findSharers } = await import('../machine/sharers.ts');
  const options = { allow, confine, pathMap, signal: context.signal };
  if (!context.force) {
    const { notes } = await assertNoSharers(context.store, path, verb, options);
    for (const note of notes) context.warn(note);
    const { assertNotGuarded } = await import('../machine/guard-file.ts');
    await assertNotGuarded(context.store, path);
    return;
  }
  const { disks, unconfirmed } = await findSharers(context.store, path, options);
  const count = disks.length + unconfirmed.length;
  if (count === 0) return;
  const one = count === 1;
  const sure = unconfirmed.length === 0 ? '' : `, ${unconfirmed.length} of them by the register alone`;
  context.warn(
    `${path}: ${plural(count, 'disk')} ${one ? 'stands' : 'stand'} on it${sure}, and ${one ? 'breaks' : 'break'} by this`,
  );
}

/**
 * Before a file that is there is replaced, which --force asks for: that of a base is not, all the same. Files of
 * `source` are left to the writer, which never replaces what it reads.
 */
export async function refuseToReplaceBase(
  path: string,
  source: Pick<Chain, 'links'>,
  { allow, confine, pathMap }: Looking,
  context: CommandContext,
): Promise<void> {
  if (!context.force || !(await context.store.exists(path))) return;
  const { path: real } = await context.store.resolve(path);
  if (source.links.some((disk) => filesOfDisk(disk).includes(real))) return;
  const { assertReplaceable } = await import('../machine/assert-replaceable.ts');
  await assertReplaceable(context.store, path, { allow, confine, pathMap, signal: context.signal });
}

/** After deltas were made: the register beside each base says so, unless that is evidence or --no-register is given. */
export async function noteSharers(
  made: readonly { readonly base: string; readonly path: string }[],
  context: CommandContext,
  args?: Arguments,
): Promise<void> {
  // Beside a base at a URL nothing can be noted.
  const here = made.filter(({ base }) => !isUrl(base));
  if (here.length === 0 || context.onEvidence || args?.flag('no-register') === true) return;
  const { recordSharers } = await import('../machine/sharers.ts');
  for (const base of new Set(here.map((each) => each.base))) {
    const paths = here.filter((each) => each.base === base).map(({ path }) => path);
    const { note } = await recordSharers(context.store, base, paths);
    if (note !== undefined) context.talk(`${base}: ${note}`);
  }
}

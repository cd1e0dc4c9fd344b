// Two disks opened for reading, for commands that look at both: two files, two machines, or one at two points. Rule: both
// are closed however the work ends.
import { openChain } from '../chain/open-chain.ts';
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { usageError } from '../core/errors.ts';
import type { CommandContext } from './context.ts';
import { chainOptionsOf } from './disk-options.ts';
import type { Arguments } from './parsed-arguments.ts';
import { pointDisks, type PointDisk } from './points.ts';

export interface DiskPair {
  readonly a: PointDisk;
  readonly b: PointDisk;
  /** Where the machine has both; missing when no machine was asked. */
  readonly node?: string;
}

export interface DiskPairs {
  readonly pairs: readonly DiskPair[];
  /** Disks that one side alone has. */
  readonly alone: readonly { readonly side: 'A' | 'B'; readonly disk: PointDisk }[];
}

/** The disks of the operands A and B, or of A at two points; those of machines side by side. */
export async function pairsOf(
  args: Arguments,
  context: CommandContext,
): Promise<DiskPairs & { options: ChainOptions }> {
  const options = await chainOptionsOf(args, context);
  const [pathA, pathB] = [args.operand('A'), args.optionalOperand('B')];
  const points = args.texts('at');
  if (points.length > 2) throw usageError('--at is given more than twice', 'Two disks are compared.');
  if (pathB === undefined && points.length === 0)
    throw usageError('a second disk is needed', 'Name it, or two points of one: --at A --at B.');
  const node = args.text('disk');
  // One point for two disks is that of both; for one disk, the other is the running one.
  const atB = points[1] ?? (pathB === undefined ? undefined : points[0]);
  const a = await pointDisks({ path: pathA, at: points[0], node }, options, context);
  const b = await pointDisks({ path: pathB ?? pathA, at: atB, node }, options, context);
  if (a.length === 1 && b.length === 1) {
    const same = a[0]!.node !== undefined && a[0]!.node === b[0]!.node ? { node: a[0]!.node } : {};
    return { options, pairs: [{ a: a[0]!, b: b[0]!, ...same }], alone: [] };
  }
  return { options, ...sideBySide(a, b) };
}

function sideBySide(a: readonly PointDisk[], b: readonly PointDisk[]): DiskPairs {
  const twin = (disk: PointDisk, others: readonly PointDisk[]): PointDisk | undefined =>
    others.find(({ node }) => node === disk.node);
  const pairs = a.flatMap((disk) => {
    const other = twin(disk, b);
    return other === undefined || disk.node === undefined ? [] : [{ a: disk, b: other, node: disk.node }];
  });
  const alone = [
    ...a.filter((disk) => twin(disk, b) === undefined).map((disk) => ({ side: 'A' as const, disk })),
    ...b.filter((disk) => twin(disk, a) === undefined).map((disk) => ({ side: 'B' as const, disk })),
  ];
  return { pairs, alone };
}

/** Runs `work` with the chains of a pair. */
export async function withPair<T>(
  { a, b }: DiskPair,
  options: ChainOptions,
  work: (a: Chain, b: Chain) => Promise<T>,
): Promise<T> {
  const first = await openChain(a.path, 'read', options);
  try {
    // What both stand on is opened once; not where its own parent is lost, which each chain has to say for itself.
    const shared = first.lostParent === undefined ? first.links : [];
    const second = await openChain(b.path, 'read', { ...options, shared });
    try {
      return await work(first, second);
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}

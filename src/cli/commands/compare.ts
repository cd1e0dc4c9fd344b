// `vmdkit compare`: equal or not, and if not, where first and how much. The answer is the exit code.
import { compareChains, type Comparison } from '../../operations/compare-chains.ts';
import type { CommandModule } from '../command-module.ts';
import { pairsOf, withPair } from '../disk-pair.ts';
import { EXIT } from '../failure.ts';
import { grouped, plural, sizesDiffer, sizeText } from '../numbers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const strict = args.flag('strict');
  const { pairs, alone, options } = await pairsOf(args, context);
  const documents: Record<string, unknown>[] = [];
  let equal = alone.length === 0;
  for (const pair of pairs) {
    const { comparison, paths } = await withPair(pair, options, async (a, b) => ({
      comparison: await context.withProgress((task) =>
        compareChains(a, b, { ...task, fs: context.store, strict, first: args.flag('first') }),
      ),
      paths: [a.leaf.path, b.leaf.path],
    }));
    equal &&= comparison.equal;
    documents.push(jsonOf(comparison, paths, pair.node));
    if (context.format !== 'human' || context.quiet) continue;
    const heading = pairs.length + alone.length > 1 ? `${pair.node}: ` : '';
    await context.stdout.write(heading + textOf(comparison, strict));
  }
  for (const { side, disk } of alone) context.warn(`${disk.node}: only ${side} has this disk`);
  if (context.format === 'json' && documents.length !== 1) await context.printJson(documents);
  else if (context.format !== 'human') for (const each of documents) await context.printJson(each);
  return equal ? EXIT.done : EXIT.no;
};

function jsonOf(
  comparison: Comparison,
  [a, b]: readonly string[],
  node: string | undefined,
): Record<string, unknown> {
  const { equal, sizes, firstDifference, differingBytes, differingSectors, compared, complete } = comparison;
  return {
    schema: 'vmdkit-compare/v1',
    ...(node === undefined ? {} : { disk: node }),
    a,
    b,
    equal,
    'size-a': sizes[0],
    'size-b': sizes[1],
    ...(firstDifference === undefined ? {} : { 'first-difference': firstDifference }),
    'differing-bytes': differingBytes,
    'differing-sectors': differingSectors,
    compared,
    complete,
  };
}

function textOf(comparison: Comparison, strict: boolean): string {
  const { equal, sizes, firstDifference, differingBytes, differingSectors, compared, complete } = comparison;
  const lines: string[] = [];
  if (sizes[0] !== sizes[1]) {
    lines.push(sizesDiffer(sizes[0], sizes[1]));
  }
  if (firstDifference !== undefined) {
    const beyond = firstDifference >= Math.min(...sizes) ? ', past the end of the smaller disk' : '';
    lines.push(`the contents differ: first at byte ${grouped(firstDifference)}${beyond}`);
    lines.push(
      complete
        ? `${plural(differingBytes, 'byte')} in ${plural(differingSectors, 'sector')} ${differingBytes === 1 ? 'differs' : 'differ'}`
        : 'not compared further',
    );
  } else if (equal || !strict || sizes[0] === sizes[1]) {
    const rest = sizes[0] === sizes[1] ? '' : '; past the end of the smaller disk there are zeros';
    lines.push(`the contents are equal; ${sizeText(compared)} of each had to be read${rest}`);
  } else lines.push('as far as both go they are equal, and there are zeros beyond: not enough with --strict');
  return `${lines.join('\n')}\n`;
}

// `vmdkit compare`: equal or not, and if not, where first and how much. The answer is the exit code.
import { compareChains, type Comparison } from '../../operations/compare-chains.ts';
import type { CommandModule } from '../command-module.ts';
import { withBoth } from '../disk-pair.ts';
import { EXIT } from '../failure.ts';
import { exactSizeText, grouped, plural, sizeText } from '../numbers.ts';

export const run: CommandModule['run'] = async (args, context) => {
  const strict = args.flag('strict');
  const { comparison, paths } = await withBoth(args, context, async (a, b) => ({
    comparison: await context.withProgress((task) =>
      compareChains(a, b, { ...task, fs: context.store, strict, first: args.flag('first') }),
    ),
    paths: [a.leaf.path, b.leaf.path],
  }));
  if (context.format !== 'human') await context.printJson(jsonOf(comparison, paths));
  else if (!context.quiet) await context.stdout.write(textOf(comparison, strict));
  return comparison.equal ? EXIT.done : EXIT.no;
};

function jsonOf(comparison: Comparison, [a, b]: readonly string[]): Record<string, unknown> {
  const { equal, sizes, firstDifference, differingBytes, differingSectors, compared, complete } = comparison;
  return {
    schema: 'vmdkit-compare/v1',
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
    lines.push(`the sizes differ: A has ${exactSizeText(sizes[0])}, B has ${exactSizeText(sizes[1])}`);
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

// `vmdkit diff`: the ranges in which two disks differ, as a table or JSON, or a file that leads from one to the other. Rule: ranges are printed as they are found; a
// disk may have millions.
import type { Chain } from '../../chain/chain.ts';
import { usageError } from '../../core/errors.ts';
import { SECTOR_BYTES } from '../../core/units.ts';
import { differences, joined, type Difference } from '../../operations/differences.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext, OutputFormat } from '../context.ts';
import { pairsOf, withPair } from '../disk-pair.ts';
import { EXIT } from '../failure.ts';
import { plural, sizesDiffer, sizeText } from '../numbers.ts';

const PIECE = 1 << 16;

export const run: CommandModule['run'] = async (args, context) => {
  const target = args.text('to');
  if (target === undefined && args.text('as') !== undefined) throw usageError('diff: --as goes with -o FILE');
  const by = args.text('by');
  if (by !== undefined && target !== undefined) throw usageError('diff: --by lists, it does not go with -o');
  const { pairs, alone, options } = await pairsOf(args, context);
  const several = pairs.length + alone.length > 1;
  if (target !== undefined) {
    if (several) throw usageError('diff: -o is for one disk', 'Name it, as in --disk scsi0:0.');
    const kind = args.text('as') ?? kindOf(target);
    await withPair(pairs[0]!, options, async (a, b) => {
      if (kind === 'ranges') return writeRanges(target, a, b, context);
      const { writeDifference } = await import('../write-difference.ts');
      return writeDifference(target, a, b, kind, args, context);
    });
    return EXIT.done;
  }
  const toStdout = (text: string) => context.stdout.write(text);
  const asList = several && context.format === 'json';
  if (asList) await toStdout('[');
  for (const [index, pair] of pairs.entries()) {
    if (asList && index > 0) await toStdout(',\n');
    if (several && context.format === 'human') await context.stdout.line(`${pair.node}:`);
    await withPair(pair, options, async (a, b) => {
      if (by !== undefined) {
        const { diffByFile, diffByPartition } = await import('../diff-by.ts');
        return by === 'file'
          ? diffByFile(a, b, pair.node, context)
          : diffByPartition(a, b, pair.node, context);
      }
      const printer = printerFor(context.format, a, b, pair.node);
      return context.withProgress((task) => list(a, b, printer, toStdout, { ...task, fs: context.store }));
    });
  }
  if (asList) await toStdout(']\n');
  for (const { side, disk } of alone) context.warn(`${disk.node}: only ${side} has this disk`);
  return alone.length === 0 ? EXIT.done : EXIT.no;
};

function kindOf(target: string): string {
  if (/\.json$/i.test(target)) return 'ranges';
  return /\.vmdk$/i.test(target) ? 'delta' : 'patch';
}

/** The JSON document of `--json`, into a file that appears whole, or to stdout. */
async function writeRanges(target: string, a: Chain, b: Chain, context: CommandContext): Promise<void> {
  const printer = printerFor('json', a, b);
  if (target === '-') {
    const toStdout = (text: string) => context.stdout.write(text);
    return context.withProgress((task) => list(a, b, printer, toStdout, { ...task, fs: context.store }));
  }
  const { writeNewFile } = await import('../../operations/new-file.ts');
  const both = { ...a, links: [...a.links, ...b.links] };
  await context.withProgress((task) =>
    writeNewFile(context.outputs, target, both, context.force, (file) => {
      let at = 0;
      const toFile = async (text: string): Promise<void> => {
        const data = Buffer.from(text);
        await file.write(data, at);
        at += data.length;
      };
      return list(a, b, printer, toFile, { ...task, fs: context.store });
    }),
  );
}

async function list(
  a: Chain,
  b: Chain,
  printer: DiffPrinter,
  write: (text: string) => Promise<void>,
  task: Parameters<typeof differences>[2],
): Promise<void> {
  let text = printer.head;
  for await (const found of joined(differences(a, b, task))) {
    text += printer.range(found);
    if (text.length < PIECE) continue;
    await write(text);
    text = '';
  }
  await write(text + printer.tail());
}

interface DiffPrinter {
  readonly head: string;
  range(found: Difference): string;
  tail(): string;
}

function printerFor(format: OutputFormat, a: Chain, b: Chain, node?: string): DiffPrinter {
  if (format === 'human') return tablePrinter(a, b);
  if (format === 'ndjson') return { head: '', range: (found) => `${rangeJson(found)}\n`, tail: () => '' };
  const head = {
    schema: 'vmdkit-diff/v1',
    ...(node === undefined ? {} : { disk: node }),
    a: a.leaf.path,
    b: b.leaf.path,
    'size-a': a.capacity * SECTOR_BYTES,
    'size-b': b.capacity * SECTOR_BYTES,
  };
  const opening = JSON.stringify(head, undefined, 2).replace(/\n\}$/, ',\n  "ranges": [');
  let separator = '\n    ';
  return {
    head: opening,
    range(found) {
      const text = separator + rangeJson(found);
      separator = ',\n    ';
      return text;
    },
    tail: () => (separator.startsWith(',') ? '\n  ]\n}\n' : ']\n}\n'),
  };
}

function rangeJson({ start, count, zero, bytes }: Difference): string {
  return `{"start": ${start * SECTOR_BYTES}, "length": ${count * SECTOR_BYTES}, "zero": ${zero}, "differing-bytes": ${bytes}}`;
}

function tablePrinter(a: Chain, b: Chain): DiffPrinter {
  let [ranges, changed, zeroed] = [0, 0, 0];
  const [inA, inB] = [a.capacity * SECTOR_BYTES, b.capacity * SECTOR_BYTES];
  const sizes = inA === inB ? '' : `${sizesDiffer(inA, inB)}; past the end of the smaller there are zeros\n`;
  return {
    head: tableLine('OFFSET', 'LENGTH', 'IN B'),
    range({ start, count, zero }) {
      ranges++;
      if (zero) zeroed += count;
      else changed += count;
      return tableLine(hex(start * SECTOR_BYTES), hex(count * SECTOR_BYTES), zero ? 'zeros' : 'data');
    },
    tail() {
      if (ranges === 0) return `no difference\n${sizes}`;
      const size = (sectors: number): string => sizeText(sectors * SECTOR_BYTES);
      return `${plural(ranges, 'range')}: ${size(changed)} changed, ${size(zeroed)} zeros in B\n${sizes}`;
    },
  };
}

function tableLine(offset: string, length: string, state: string): string {
  return `${offset.padEnd(16)}${length.padEnd(16)}${state}\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

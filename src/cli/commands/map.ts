// `vmdkit map`: which sectors are absent, zero or data, and which file answers them. JSON as `qemu-img map` prints it,
// with a file name for each run. Rule: text is built by hand and written in large pieces; a map may have millions of
// runs.
import { sectorRange, type SectorRange } from '../../block/sector-range.ts';
import { usageError } from '../../core/errors.ts';
import { SECTOR_BYTES, type Sectors } from '../../core/units.ts';
import { visitRuns, type MappedRun } from '../../operations/map-report.ts';
import type { Arguments } from '../parsed-arguments.ts';
import type { CommandModule } from '../command-module.ts';
import type { OutputFormat } from '../context.ts';
import { withChain } from '../chain-read.ts';
import { EXIT } from '../failure.ts';
import { shownPath } from '../shown-path.ts';
import { toSectors } from '../../core/sizes.ts';

const PIECE = 1 << 16;

export const run: CommandModule['run'] = (args, context) =>
  withChain(args, context, async (chain) => {
    const range = rangeOf(args, chain.capacity);
    const printer = printerFor(context.format);
    let text = printer.head;
    // One piece of memory for all of the text: what is fresh costs more than the printing.
    const room = Buffer.allocUnsafe(PIECE * 4);
    const flush = async (): Promise<void> => {
      const piece = text;
      text = '';
      const used = room.write(piece);
      await context.stdout.write(used < room.length - 4 ? room.subarray(0, used) : piece);
    };
    const take = (mapped: Readonly<MappedRun>): Promise<void> | undefined => {
      text += printer.run(mapped);
      return text.length < PIECE ? undefined : flush();
    };
    await visitRuns(chain, range, take, { signal: context.signal });
    text += await printer.tail();
    await flush();
    return EXIT.done;
  });

/** --start and --length in whole sectors, within the disk. */
function rangeOf(args: Arguments, capacity: Sectors): SectorRange {
  const start = toSectors(args.bytes('start') ?? 0, '--start');
  if (start > capacity) {
    throw usageError(`--start: byte ${start * SECTOR_BYTES} is past the end of the disk`, sizeHint(capacity));
  }
  const length = args.bytes('length');
  if (length === undefined) return sectorRange(start, capacity - start);
  const count = toSectors(length, '--length');
  if (start + count <= capacity) return sectorRange(start, count);
  throw usageError(
    `--length: byte ${(start + count) * SECTOR_BYTES} is past the end of the disk`,
    sizeHint(capacity),
  );
}

function sizeHint(capacity: number): string {
  return `The disk has ${capacity * SECTOR_BYTES} bytes.`;
}

interface MapPrinter {
  readonly head: string;
  run(run: Readonly<MappedRun>): string;
  tail(): Promise<string>;
}

function printerFor(format: OutputFormat): MapPrinter {
  if (format === 'human') return tablePrinter();
  const line = jsonRuns();
  if (format === 'ndjson') {
    return { head: '', run: (mapped) => `${line(mapped)}\n`, tail: () => Promise.resolve('') };
  }
  let separator = '';
  return {
    head: '[',
    run(mapped) {
      const text = separator + line(mapped);
      separator = ',\n';
      return text;
    },
    tail: () => Promise.resolve(']\n'),
  };
}

/** Lines of JSON; file names are quoted once per file, not once per run. */
function jsonRuns(): (run: Readonly<MappedRun>) => string {
  const quoted = remembered((path) => JSON.stringify(path));
  return ({ start, end, state, depth, origin, offset }) => {
    const head = `{ "start": ${start * SECTOR_BYTES}, "length": ${(end - start) * SECTOR_BYTES}, "depth": ${depth}`;
    if (origin === undefined) {
      return `${head}, "present": ${state === 'zero'}, "zero": true, "data": false, "compressed": false}`;
    }
    if (origin.lost !== undefined) {
      return `${head}, "present": false, "zero": false, "data": false, "compressed": false, "lost": ${quoted(origin.path)}}`;
    }
    const place = origin.compressed ? '"compressed": true' : `"compressed": false, "offset": ${offset}`;
    return `${head}, "present": true, "zero": false, "data": true, ${place}, "filename": ${quoted(origin.path)}}`;
  };
}

function remembered(make: (path: string) => string): (path: string) => string {
  const known = new Map<string, string>();
  return (path) => {
    let text = known.get(path);
    if (text === undefined) {
      text = make(path);
      known.set(path, text);
    }
    return text;
  };
}

function tablePrinter(): MapPrinter {
  const sums = { absent: 0, zero: 0, data: 0, lost: 0 };
  let runs = 0;
  const name = remembered(shownPath);
  return {
    head: tableLine('OFFSET', 'LENGTH', 'STATE', 'DEPTH', 'MAPPED TO', 'FILE'),
    run({ start, end, state, depth, origin, offset }) {
      runs++;
      const lost = origin?.lost !== undefined;
      const shown = lost ? 'lost' : state;
      sums[shown] += end - start;
      const place = origin === undefined || lost ? '' : origin.compressed ? 'compressed' : hex(offset);
      const file = origin === undefined ? '' : name(origin.path);
      const from = hex(start * SECTOR_BYTES);
      return tableLine(from, hex((end - start) * SECTOR_BYTES), shown, String(depth), place, file);
    },
    async tail() {
      const { plural, sizeText } = await import('../numbers.ts');
      const size = (sectors: number): string => sizeText(sectors * SECTOR_BYTES);
      return `${plural(runs, 'run')}: ${size(sums.data)} data, ${size(sums.zero)} zero, ${size(sums.absent)} absent${sums.lost === 0 ? '' : `, ${size(sums.lost)} lost`}\n`;
    },
  };
}

function tableLine(...[offset, length, state, depth, place, file]: readonly string[]): string {
  const head = `${offset!.padEnd(16)}${length!.padEnd(16)}${state!.padEnd(8)}${depth!.padEnd(7)}`;
  return `${`${head}${place!.padEnd(16)}${file}`.trimEnd()}\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

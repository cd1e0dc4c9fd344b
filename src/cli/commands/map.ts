// `vmdkit map`: which sectors are absent, zero or data, and which file answers them. JSON as `qemu-img map` prints it,
// with a file name for each run. Rule: JSON is built by hand, as bytes, and written in large pieces; a map may have millions
// of runs.
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
import { TextRoom } from '../text-room.ts';
import { toSectors } from '../../core/sizes.ts';

const PIECE = 1 << 16;

export const run: CommandModule['run'] = (args, context) =>
  withChain(args, context, async (chain) => {
    const range = rangeOf(args, chain.capacity);
    const room = new TextRoom(4 * PIECE);
    const printer = printerFor(context.format, room);
    const flush = (): Promise<void> => context.stdout.write(room.empty());
    const take = (mapped: Readonly<MappedRun>): Promise<void> | undefined => {
      printer.run(mapped);
      return room.length < PIECE ? undefined : flush();
    };
    await visitRuns(chain, range, take, { signal: context.signal });
    await printer.end();
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

/** Has written what comes first once it is made. */
interface MapPrinter {
  run(run: Readonly<MappedRun>): void;
  end(): Promise<void>;
}

function printerFor(format: OutputFormat, room: TextRoom): MapPrinter {
  if (format === 'human') return tablePrinter(room);
  const line = jsonRuns(room);
  if (format === 'ndjson') {
    return {
      run(mapped) {
        line(mapped);
        room.bytes(NEXT_LINE);
      },
      end: () => Promise.resolve(),
    };
  }
  const separator = Buffer.from(',\n');
  let isFirst = true;
  room.text('[');
  return {
    run(mapped) {
      if (!isFirst) room.bytes(separator);
      isFirst = false;
      line(mapped);
    },
    end() {
      room.text(']\n');
      return Promise.resolve();
    },
  };
}

const START = Buffer.from('{ "start": ');
const LENGTH = Buffer.from(', "length": ');
const DEPTH = Buffer.from(', "depth": ');
const ABSENT = Buffer.from(', "present": false, "zero": true, "data": false, "compressed": false}');
const ZEROS = Buffer.from(', "present": true, "zero": true, "data": false, "compressed": false}');
const LOST = Buffer.from(', "present": false, "zero": false, "data": false, "compressed": false, "lost": ');
const DATA = Buffer.from(', "present": true, "zero": false, "data": true, "compressed": ');
const COMPRESSED = Buffer.from('true, "filename": ');
const PLAIN = Buffer.from('false, "offset": ');
const FILE = Buffer.from(', "filename": ');
const NEXT_LINE = Buffer.from('\n');

/** Lines of JSON; file names are quoted once per file, not once per run. */
function jsonRuns(room: TextRoom): (run: Readonly<MappedRun>) => void {
  const ending = remembered((path) => Buffer.from(`${JSON.stringify(path)}}`));
  return ({ start, end, state, depth, origin, offset }) => {
    room.bytes(START);
    room.number(start * SECTOR_BYTES);
    room.bytes(LENGTH);
    room.number((end - start) * SECTOR_BYTES);
    room.bytes(DEPTH);
    room.number(depth);
    if (origin === undefined) return room.bytes(state === 'zero' ? ZEROS : ABSENT);
    if (origin.lost !== undefined) {
      room.bytes(LOST);
    } else {
      room.bytes(DATA);
      if (origin.compressed) room.bytes(COMPRESSED);
      else {
        room.bytes(PLAIN);
        room.number(offset);
        room.bytes(FILE);
      }
    }
    room.bytes(ending(origin.path));
  };
}

function remembered<T>(make: (path: string) => T): (path: string) => T {
  const known = new Map<string, T>();
  return (path) => {
    let text = known.get(path);
    if (text === undefined) {
      text = make(path);
      known.set(path, text);
    }
    return text;
  };
}

function tablePrinter(room: TextRoom): MapPrinter {
  const sums = { absent: 0, zero: 0, data: 0, lost: 0 };
  let runs = 0;
  const name = remembered(shownPath);
  room.text(tableLine('OFFSET', 'LENGTH', 'STATE', 'DEPTH', 'MAPPED TO', 'FILE'));
  return {
    run({ start, end, state, depth, origin, offset }) {
      runs++;
      const lost = origin?.lost !== undefined;
      const shown = lost ? 'lost' : state;
      sums[shown] += end - start;
      const place = origin === undefined || lost ? '' : origin.compressed ? 'compressed' : hex(offset);
      const file = origin === undefined ? '' : name(origin.path);
      const from = hex(start * SECTOR_BYTES);
      room.text(tableLine(from, hex((end - start) * SECTOR_BYTES), shown, String(depth), place, file));
    },
    async end() {
      const { plural, sizeText } = await import('../numbers.ts');
      const size = (sectors: number): string => sizeText(sectors * SECTOR_BYTES);
      room.text(
        `${plural(runs, 'run')}: ${size(sums.data)} data, ${size(sums.zero)} zero, ${size(sums.absent)} absent${sums.lost === 0 ? '' : `, ${size(sums.lost)} lost`}\n`,
      );
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

// `vmdkit dump`: the structures of a disk's files, field by field, with the byte where each stands. Files are looked at
// one by one, so that a disk that does not open can be dumped as well.
import { usageError, VmdkError } from '../../core/errors.ts';
import { extentPath } from '../../disk/open-extents.ts';
import { openContext } from '../../disk/open-options.ts';
import { DUMP_PARTS, dumpableParts, dumpPart, type Dumped, type DumpPart } from '../../examine/dump.ts';
import { MAX_DESCRIPTOR_BYTES, parseDescriptor } from '../../format/descriptor.ts';
import type { RandomAccessFile } from '../../storage/file-store.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { chainOptionsOf } from '../disk-options.ts';
import { EXIT } from '../failure.ts';
import { legible } from '../legible.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { shownPath } from '../shown-path.ts';

const PIECE = 1 << 16;

export const run: CommandModule['run'] = async (args, context) => {
  const wanted = args.optionalOperand('PART');
  const part = DUMP_PARTS.find((name) => name === wanted);
  if (wanted !== undefined && part === undefined) {
    throw usageError(`PART: "${wanted}" is no part`, `Parts are ${DUMP_PARTS.join(', ')}.`);
  }
  const printer = printerFor(context);
  for (const path of await filesOf(args, context)) {
    const file = await context.store.open(path, 'read');
    try {
      await dumpFile(file, part, args, printer);
    } finally {
      await file.close();
    }
  }
  if (!printer.any) throw nothingTo(args.operand('DISK'), wanted);
  await printer.end();
  return EXIT.done;
};

function nothingTo(path: string, wanted: string | undefined): VmdkError {
  if (wanted !== undefined) return usageError(`no file of this disk has the part "${wanted}"`);
  return new VmdkError('corrupt', 'not-a-vmdk', 'no structure of a disk begins in this file', {
    path,
    found: 'neither a descriptor nor the header of an extent',
    hint: 'Of a flat extent, which is nothing but content, name the descriptor.',
  });
}

/** The file that is named, and behind a descriptor the files of its extents: all, or the one that is asked for. */
async function filesOf(args: Arguments, context: CommandContext): Promise<string[]> {
  const options = openContext(await chainOptionsOf(args, context));
  const { path } = await options.guard.assertNamedAllowed(args.operand('DISK'));
  const file = await context.store.open(path, 'read');
  try {
    const { kind } = await dumpableParts(file);
    const only = args.count('extent');
    if (kind !== 'descriptor') {
      if (only !== undefined) throw usageError('--extent: DISK is one file; name its descriptor');
      return [path];
    }
    const text = Buffer.alloc(Math.min(await file.size(), MAX_DESCRIPTOR_BYTES));
    await file.readExactly(text, 0);
    const descriptor = parseDescriptor(text, path);
    const found = new Set<string>();
    for (const line of descriptor.extents)
      if (line.fileName !== undefined) found.add(await extentPath(options, descriptor, line));
    const places = [...found];
    if (only === undefined) return [path, ...places];
    if (places[only] === undefined)
      throw usageError(`--extent: there are ${places.length} extent files, counted from 0`);
    return [places[only]];
  } finally {
    await file.close();
  }
}

async function dumpFile(
  file: RandomAccessFile,
  wanted: DumpPart | undefined,
  args: Arguments,
  printer: Printer,
): Promise<void> {
  const { kind, parts } = await dumpableParts(file);
  const usual = parts.filter((part) => part === 'header' || part === 'descriptor');
  const chosen = wanted === undefined ? usual : parts.filter((part) => part === wanted);
  for (const part of chosen) {
    for await (const piece of dumpPart(file, kind, part, { table: args.count('table') })) {
      await printer.print(file.path, piece);
    }
  }
}

interface Printer {
  any: boolean;
  print(path: string, piece: Dumped): Promise<void>;
  end(): Promise<void>;
}

function printerFor(context: CommandContext): Printer {
  if (context.format !== 'human') return jsonPrinter(context);
  let [text, last] = ['', ''];
  const flush = async (): Promise<void> => {
    await context.stdout.write(text);
    text = '';
  };
  const printer: Printer = {
    any: false,
    async print(path, piece) {
      if (path !== last) text += `${last === '' ? '' : '\n'}${shownPath(path)}\n`;
      last = path;
      printer.any = true;
      text += pieceText(piece);
      if (text.length > PIECE) await flush();
    },
    end: flush,
  };
  return printer;
}

function jsonPrinter(context: CommandContext): Printer {
  const lines = context.format === 'ndjson';
  const printer: Printer = {
    any: false,
    async print(filename, piece) {
      const value = JSON.stringify({ filename, ...pieceJson(piece) });
      const head = '{\n  "schema": "vmdkit-dump/v1",\n  "pieces": [\n    ';
      await context.stdout.write(lines ? `${value}\n` : (printer.any ? ',\n    ' : head) + value);
      printer.any = true;
    },
    async end() {
      if (!lines) await context.stdout.write('\n  ]\n}\n');
    },
  };
  return printer;
}

function pieceText(piece: Dumped): string {
  switch (piece.kind) {
    case 'struct': {
      const width = Math.max(...piece.fields.map(({ name }) => name.length));
      const lines = piece.fields.map(
        ({ offset, name, value }) => `  ${hex(offset)}  ${name.padEnd(width)}  ${valueText(value)}`,
      );
      return `\n${piece.name} at byte ${piece.offset}\n${lines.join('\n')}\n`;
    }
    case 'text': {
      const text = descriptorText(piece.bytes);
      return `\ndescriptor at byte ${piece.offset}, ${piece.bytes.length} bytes\n${legible(text).replace(/^/gm, '  ').trimEnd()}\n`;
    }
    case 'table': {
      const which =
        piece.part === 'gt'
          ? `grain table ${piece.table}`
          : piece.part === 'rgd'
            ? 'redundant grain directory'
            : 'grain directory';
      return `\n${which} at byte ${piece.offset}, ${piece.entries} entries; those of 0 are left out\n`;
    }
    case 'entry':
      return `  ${hex(piece.offset)}  ${String(piece.index).padStart(6)}  0x${piece.value.toString(16).padStart(8, '0')}  ${piece.meaning}\n`;
    case 'marker':
      return `  ${hex(piece.offset)}  ${piece.type.padEnd(14)}  val ${piece.val}  size ${piece.size}\n`;
    case 'note':
      return `  ${piece.text}\n`;
  }
}

/** Of embedded text: where the zeros begin. */
function endOf(bytes: Uint8Array): number {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes.length : end;
}

function hex(offset: number): string {
  return `0x${offset.toString(16).padStart(8, '0')}`;
}

function valueText(value: number | bigint | Uint8Array): string {
  if (!(value instanceof Uint8Array)) return `${value} (0x${value.toString(16)})`;
  if (value.every((byte) => byte === 0)) return `${value.length} bytes, all zero`;
  const shown = Buffer.from(value.subarray(0, 32)).toString('hex');
  return value.length > 32 ? `${shown}… (${value.length} bytes)` : shown;
}

function pieceJson(piece: Dumped): object {
  switch (piece.kind) {
    case 'struct':
      return {
        ...piece,
        fields: piece.fields.map(({ value, ...field }) => ({ ...field, value: valueJson(value) })),
      };
    case 'text':
      return {
        kind: 'text',
        part: piece.part,
        offset: piece.offset,
        length: piece.bytes.length,
        text: descriptorText(piece.bytes),
      };
    case 'entry':
      return { ...piece, value: valueJson(piece.value) };
    case 'marker':
      return { ...piece, val: valueJson(piece.val) };
    case 'table':
    case 'note':
      return piece;
  }
}

function descriptorText(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, endOf(bytes))).toString('utf8');
}

/** Numbers that JSON's readers round are hexadecimal text; bytes are, too. */
function valueJson(value: number | bigint | Uint8Array): number | string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return typeof value === 'number' || value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : `0x${value.toString(16)}`;
}

// `vmdkit hash`: hashes of what a disk reads as, of what each link has itself and of its files, for people, programs and
// the tools that check sum files.
import { basename, relative } from 'node:path';
import type { Chain } from '../../chain/chain.ts';
import { usageError } from '../../core/errors.ts';
import { parseAlgorithm, type Algorithm, type DigestSet } from '../../examine/digests.ts';
import { hashDisk, type DiskHash, type LinkHash } from '../../examine/hash-disk.ts';
import type { PieceHash } from '../../examine/piece-digests.ts';
import { readingOptionsOf, withChainAt } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import { HASH_FORMATS, hashFormat, type HashFormat, type NamedHash } from '../hash-formats.ts';
import { exactSizeText, sizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { pointDisks, type PointDisk } from '../points.ts';
import { shownPath } from '../shown-path.ts';

/** Pieces kept for a document that is printed as one: 100 bytes each. */
const MOST_PIECES = 1_000_000;
const PIECE_TEXT = 1 << 16;

interface Wanted {
  readonly algorithms: readonly Algorithm[];
  readonly perLink: boolean;
  readonly linksOnly: boolean;
  readonly sparse: boolean;
  readonly sparseOnly: boolean;
  readonly pieceBytes: number | undefined;
  readonly name: string | undefined;
  readonly format: HashFormat | undefined;
}

export const run: CommandModule['run'] = async (args, context) => {
  const wanted = await wantedBy(args, context);
  const options = await readingOptionsOf(args, context);
  const request = { path: args.operand('DISK'), at: args.text('at'), node: args.text('disk') };
  const disks = await pointDisks(request, options, context);
  if (wanted.name !== undefined && disks.length > 1)
    throw usageError('--name is for one disk', `Choose it, as in --disk ${disks[0]!.node}.`);
  const printer = printerFor(wanted, context);
  await printer.write(wanted.format?.head(wanted.algorithms) ?? '');
  let code: number = EXIT.done;
  for (const disk of disks) {
    const own = await withChainAt(disk.path, options, context, async (chain) => {
      await hashOne(chain, disk, wanted, printer, context);
      return EXIT.done;
    });
    code = Math.max(code, own);
  }
  await printer.end();
  return code;
};

async function wantedBy(args: Arguments, context: CommandContext): Promise<Wanted> {
  const named = args.texts('algo').flatMap((text) => text.split(','));
  const algorithms = [...new Set((named.length === 0 ? ['sha256'] : named).map(parseAlgorithm))];
  const linksOnly = args.flag('links-only');
  const pieceBytes = args.bytes('piece');
  if (pieceBytes === 0) throw usageError('--piece: pieces have bytes');
  if (linksOnly && pieceBytes !== undefined)
    throw usageError('--piece goes with the merged content', 'Leave out --links-only.');
  const sparseOnly = args.flag('sparse-only');
  const given = args.text('format');
  if (
    sparseOnly &&
    given !== undefined &&
    (pieceBytes === undefined || given === 'dfxml' || args.flag('per-link'))
  )
    throw usageError(
      '--format has no place for sparse hashes',
      'With --sparse-only it holds pieces alone: add --piece SIZE, or leave out --format.',
    );
  if (given !== undefined && context.format !== 'human')
    throw usageError('--format and JSON are two outputs', 'Choose one of them.');
  const format = HASH_FORMATS.find((each) => each === given);
  return {
    algorithms,
    perLink: linksOnly || args.flag('per-link'),
    linksOnly,
    sparse: args.flag('sparse') || (sparseOnly && !linksOnly),
    sparseOnly,
    pieceBytes,
    name: args.text('name'),
    format:
      format === undefined
        ? undefined
        : hashFormat(format, algorithms, {
            version: await context.version(),
            folder: process.cwd(),
            invocation: ['vmdkit', 'hash', args.operand('DISK')].join(' '),
          }),
  };
}

async function hashOne(
  chain: Chain,
  disk: PointDisk,
  wanted: Wanted,
  printer: Printer,
  context: CommandContext,
): Promise<void> {
  const name = wanted.name ?? `${basename(disk.path).replace(/\.vmdk$/i, '')}.raw`;
  const hashed = await context.withProgress((task) =>
    hashDisk(chain, {
      ...task,
      ...wanted,
      fs: context.store,
      onPiece: (piece) => printer.piece(name, piece),
    }),
  );
  await printer.disk({ disk, name, chain, hashed });
}

interface Hashed {
  readonly disk: PointDisk;
  readonly name: string;
  readonly chain: Chain;
  readonly hashed: DiskHash;
}

interface Printer {
  write(text: string): Promise<void>;
  piece(name: string, piece: PieceHash): Promise<void> | undefined;
  disk(hashed: Hashed): Promise<void>;
  end(): Promise<void>;
}

function printerFor(wanted: Wanted, context: CommandContext): Printer {
  let text = '';
  const flush = async (): Promise<void> => {
    const piece = text;
    text = '';
    if (piece !== '') await context.stdout.write(piece);
  };
  const write = async (more: string): Promise<void> => {
    text += more;
    if (text.length > PIECE_TEXT) await flush();
  };
  const kept: PieceHash[] = [];
  const keep = (piece: PieceHash): undefined => {
    if (kept.length === MOST_PIECES)
      throw usageError(
        'there are too many pieces for one document',
        'Use --output ndjson, --format sum, or larger pieces.',
      );
    kept.push(piece);
    return undefined;
  };
  const documents: unknown[] = [];
  const { format } = wanted;
  if (format !== undefined) {
    return {
      write,
      piece: (name, piece) => {
        const text = format.piece?.(namedPiece(name, piece));
        return text === undefined ? keep(piece) : write(text);
      },
      async disk(one) {
        const pieces = kept.splice(0).map((piece) => namedPiece(one.name, piece));
        for (const hash of namedHashes(one))
          await write(format.entry(hash, hash.name === one.name ? pieces : []));
      },
      async end() {
        await write(format.tail());
        await flush();
      },
    };
  }
  if (context.format === 'human') {
    return {
      write,
      piece: (_, { start, length, digests }) =>
        write(digestLines(digests, `${`${start} + ${length}`.padEnd(32)}`)),
      disk: (one) => write(humanText(one)),
      end: flush,
    };
  }
  return {
    write,
    piece: (name, piece) =>
      context.format === 'ndjson' ? write(`${JSON.stringify({ name, ...pieceJson(piece) })}\n`) : keep(piece),
    async disk(one) {
      const document = jsonOf(one, kept.splice(0), wanted);
      if (context.format === 'ndjson') await write(`${JSON.stringify(document)}\n`);
      else documents.push(document);
    },
    async end() {
      await flush();
      if (context.format === 'json')
        await context.printJson(documents.length === 1 ? documents[0] : documents);
    },
  };
}

function namedPiece(name: string, { start, length, digests }: PieceHash): NamedHash {
  return { name, bytes: length, digests, offset: start };
}

/** What there is to check by name: the merged content, and the files. A link's own data is in no file of its own. */
function namedHashes({ name, hashed }: Hashed): NamedHash[] {
  const { merged, links } = hashed;
  const files = new Map(links.flatMap((link) => link.files).map((file) => [file.path, file]));
  return [
    ...(merged === undefined ? [] : [{ name, bytes: merged.bytes, digests: merged.digests }]),
    ...[...files.values()].map(({ path, size, digests }) => ({ name: fromHere(path), bytes: size, digests })),
  ];
}

/** As a program that runs here finds it. */
function fromHere(path: string): string {
  const below = relative(process.cwd(), path);
  return below.startsWith('..') ? path : below;
}

function humanText({ disk, chain, hashed }: Hashed): string {
  const { merged, sparse, links } = hashed;
  const point = disk.node === undefined ? '' : ` (${disk.node}, ${disk.point})`;
  const head =
    merged === undefined
      ? `${shownPath(chain.leaf.path)}${point}\n`
      : `${shownPath(chain.leaf.path)}${point}: merged content, ${exactSizeText(merged.bytes)}, ${sizeText(merged.read)} of it read\n${digestLines(merged.digests, '  ')}`;
  return `${head}${sparseLine(sparse, '  ')}${links.map(linkText).join('')}`;
}

function linkText({ path, depth, data, files }: LinkHash): string {
  return [
    `link ${depth}, ${shownPath(path)}: ${exactSizeText(data.bytes)} of its own data\n`,
    digestLines(data.digests, '  '),
    ...files.map(
      (file) =>
        `  file ${shownPath(file.path)}: ${exactSizeText(file.size)}\n${digestLines(file.digests, '    ')}${sparseLine(file.sparseSha256, '    ')}`,
    ),
  ].join('');
}

function sparseLine(digest: string | undefined, indent: string): string {
  return digest === undefined ? '' : `${indent}sparse  ${digest}\n`;
}

function digestLines(digests: DigestSet, indent: string): string {
  return Object.entries(digests)
    .map(([algorithm, digest]) => `${indent}${algorithm.padEnd(6)}  ${digest}\n`)
    .join('');
}

function jsonOf(
  { disk, name, chain, hashed }: Hashed,
  pieces: readonly PieceHash[],
  wanted: Wanted,
): unknown {
  const { merged, sparse, links } = hashed;
  return {
    schema: 'vmdkit-hash/v1',
    filename: chain.leaf.path,
    name,
    ...(disk.node === undefined ? {} : { disk: disk.node, point: disk.point }),
    ...(merged === undefined
      ? {}
      : { merged: { bytes: merged.bytes, 'bytes-read': merged.read, ...merged.digests } }),
    ...(sparse === undefined ? {} : { 'sparse-sha256': sparse }),
    ...(wanted.pieceBytes === undefined
      ? {}
      : { 'piece-bytes': wanted.pieceBytes, pieces: pieces.map(pieceJson) }),
    ...(wanted.perLink
      ? {
          links: links.map(({ path, depth, data, files }) => ({
            depth,
            filename: path,
            data: { bytes: data.bytes, ...data.digests },
            files: files.map(({ path: filename, size, digests, sparseSha256 }) => ({
              filename,
              bytes: size,
              ...digests,
              ...(sparseSha256 === undefined ? {} : { 'sparse-sha256': sparseSha256 }),
            })),
          })),
        }
      : {}),
  };
}

function pieceJson({ start, length, digests }: PieceHash) {
  return { start, length, ...digests };
}

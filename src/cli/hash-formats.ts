// Hashes as files that other programs check: coreutils, BSD, hashdeep, DFXML. Rule: each format is written as its own
// tools write it, and a name that would break a line is refused or escaped as they do it.
import { usageError } from '../core/errors.ts';
import type { Algorithm, DigestSet } from '../examine/digests.ts';

/** Something that was hashed, under the name by which it is checked. */
export interface NamedHash {
  readonly name: string;
  readonly bytes: number;
  readonly digests: DigestSet;
  /** Of a piece: its first byte. */
  readonly offset?: number;
}

export interface HashFormat {
  head(algorithms: readonly Algorithm[]): string;
  /** One thing that was hashed, after the pieces of it. */
  entry(hash: NamedHash, pieces: readonly NamedHash[]): string;
  /** A piece on its own; undefined where pieces belong into the entry. */
  piece?(hash: NamedHash): string;
  tail(): string;
}

export const HASH_FORMATS = ['sum', 'tag', 'hashdeep', 'dfxml'] as const;
export type HashFormatName = (typeof HASH_FORMATS)[number];

/** What hashdeep knows. */
const DEEP: ReadonlySet<Algorithm> = new Set<Algorithm>(['md5', 'sha1', 'sha256']);

/** `invocation` and `folder` are told where the format has a place for them. */
export function hashFormat(
  name: HashFormatName,
  algorithms: readonly Algorithm[],
  run: { readonly version: string; readonly folder: string; readonly invocation: string },
): HashFormat {
  if (name === 'sum' && algorithms.length > 1) {
    throw usageError('--format sum holds one hash', 'Choose one with --algo, or --format tag for several.');
  }
  if (name === 'hashdeep' && algorithms.some((each) => !DEEP.has(each))) {
    throw usageError('--format hashdeep holds md5, sha1 and sha256 only', 'Leave the others out of --algo.');
  }
  switch (name) {
    case 'sum':
      return sumFormat(algorithms);
    case 'tag':
      return tagFormat(algorithms);
    case 'hashdeep':
      return deepFormat(algorithms, run);
    case 'dfxml':
      return dfxmlFormat(algorithms, run);
  }
}

/** `HASH  NAME`, as md5sum writes it; pieces as md5deep -p does. */
function sumFormat([algorithm]: readonly Algorithm[]): HashFormat {
  const line = (hash: NamedHash): string => {
    const { mark, text } = escaped(pieceName(hash));
    return `${mark}${hash.digests[algorithm!]!}  ${text}\n`;
  };
  return { head: () => '', entry: line, piece: line, tail: () => '' };
}

/** `SHA256 (NAME) = HASH`, as `sha256sum --tag` writes it. */
function tagFormat(algorithms: readonly Algorithm[]): HashFormat {
  const lines = (hash: NamedHash): string => {
    const { mark, text } = escaped(pieceName(hash));
    return algorithms
      .map((algorithm) => `${mark}${algorithm.toUpperCase()} (${text}) = ${hash.digests[algorithm]!}\n`)
      .join('');
  };
  return { head: () => '', entry: lines, piece: lines, tail: () => '' };
}

function deepFormat(
  algorithms: readonly Algorithm[],
  { folder, invocation }: { folder: string; invocation: string },
): HashFormat {
  // hashdeep reads its columns in this order, whatever was asked for.
  const columns = (['md5', 'sha1', 'sha256'] as const).filter((each) => algorithms.includes(each));
  const line = (hash: NamedHash): string => {
    if (/[\n\r]/.test(hash.name))
      throw usageError('hashdeep knows no names with line ends', 'Give another with --name.');
    return `${[hash.bytes, ...columns.map((each) => hash.digests[each]!), pieceName(hash)].join(',')}\n`;
  };
  const plain = (text: string): string => text.replace(/[\n\r]/g, ' ');
  return {
    head: () =>
      [
        '%%%% HASHDEEP-1.0',
        `%%%% size,${columns.join(',')},filename`,
        `## Invoked from: ${plain(folder)}`,
        `## $ ${plain(invocation)}`,
        '## ',
        '',
      ].join('\n'),
    entry: line,
    piece: line,
    tail: () => '',
  };
}

function dfxmlFormat(
  algorithms: readonly Algorithm[],
  { version, invocation }: { version: string; invocation: string },
): HashFormat {
  const digests = (hash: NamedHash, indent: string): string =>
    algorithms
      .map(
        (algorithm) => `${indent}<hashdigest type='${algorithm}'>${hash.digests[algorithm]!}</hashdigest>\n`,
      )
      .join('');
  return {
    head: () =>
      [
        "<?xml version='1.0' encoding='UTF-8'?>",
        "<dfxml xmlns='http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML' xmlns:dc='http://purl.org/dc/elements/1.1/' version='1.0'>",
        '  <metadata>',
        '    <dc:type>Hash List</dc:type>',
        '  </metadata>',
        "  <creator version='1.0'>",
        '    <program>vmdkit</program>',
        `    <version>${xml(version)}</version>`,
        '    <execution_environment>',
        `      <command_line>${xml(invocation)}</command_line>`,
        '    </execution_environment>',
        '  </creator>',
        '',
      ].join('\n'),
    entry(hash, pieces) {
      const runs = pieces.map((piece) =>
        [
          `      <byte_run file_offset='${piece.offset!}' len='${piece.bytes}'>\n`,
          digests(piece, '        '),
          '      </byte_run>\n',
        ].join(''),
      );
      return [
        '  <fileobject>\n',
        `    <filename>${xml(hash.name)}</filename>\n`,
        `    <filesize>${hash.bytes}</filesize>\n`,
        ...(runs.length === 0 ? [] : ['    <byte_runs>\n', ...runs, '    </byte_runs>\n']),
        digests(hash, '    '),
        '  </fileobject>\n',
      ].join('');
    },
    tail: () => '</dfxml>\n',
  };
}

/** As md5deep and hashdeep name pieces. */
function pieceName({ name, offset, bytes }: NamedHash): string {
  return offset === undefined ? name : `${name} offset ${offset}-${offset + bytes - 1}`;
}

/** As coreutils does it: a backslash before the line, and escapes in the name. */
function escaped(name: string): { mark: string; text: string } {
  const text = name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return { mark: text === name ? '' : '\\', text };
}

/** What XML cannot hold becomes U+FFFD. */
function xml(text: string): string {
  return text
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}

// What a file is, by its first bytes. Anything not named here is raw data, which is lawful only where a descriptor
// names it as a flat extent: a flat extent is never probed.

export type FileKind =
  'sparse' | 'unfinished-sparse' | 'cowd' | 'sesparse' | 'change-tracking' | 'descriptor' | 'unknown';

const MAGICS: readonly (readonly [magic: string, kind: FileKind])[] = [
  ['4b444d56', 'sparse'],
  ['6b646d76', 'unfinished-sparse'],
  ['434f5744', 'cowd'],
  ['bebafeca00000000', 'sesparse'],
  ['a27219f6', 'change-tracking'],
];

/**
 * `first`: the first bytes of the file, 512 or more; several KiB let a descriptor that opens with long comments be
 * recognised.
 */
export function detectFileKind(first: Uint8Array): FileKind {
  const start = Buffer.from(first.subarray(0, 8)).toString('hex');
  for (const [magic, kind] of MAGICS) if (start.startsWith(magic)) return kind;
  return isDescriptorText(first) ? 'descriptor' : 'unknown';
}

/** Text up to a NUL whose first line that is neither blank nor a comment begins `version=`. */
function isDescriptorText(first: Uint8Array): boolean {
  const nul = first.indexOf(0);
  const text = Buffer.from(nul < 0 ? first : first.subarray(0, nul)).toString('latin1');
  // One line at a time: a pattern over all of them would take for ever on a text of blank lines.
  for (const line of text.replace(/^\u00ef\u00bb\u00bf/, '').split(/[\r\n]/)) {
    const content = /[^ \t]/.exec(line)?.index;
    if (content !== undefined && line[content] !== '#') return /^version[ \t]*=/i.test(line.slice(content));
  }
  return false;
}

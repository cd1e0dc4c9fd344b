// Text in the encodings that VMware's files declare. Structure (quotes, `=`, `#`, blanks, line ends) is ASCII in all of
// them and never a second byte, so it is found on the bytes first; only values come through here. Most text declares
// UTF-8 and is ASCII: it is read without a decoder, which takes longer to make than the rest.
import { isUtf8 } from 'node:buffer';

const NON_ASCII = /[\u0080-\uffff]/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const UTF8 = 'utf-8';
const KOREAN = 'euc-kr';
/** What bytes that fit no declaration are read as: every byte means something in it. */
export const FALLBACK_ENCODING = 'windows-1252';

/** Names that TextDecoder does not know, as Windows code pages are called in such files. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['utf8', UTF8],
  ['cp932', 'shift_jis'],
  ['windows-932', 'shift_jis'],
  ['cp936', 'gbk'],
  ['windows-936', 'gbk'],
  ['cp949', KOREAN],
  ['cp950', 'big5'],
  ['windows-950', 'big5'],
  // As ICU calls them, whose names Workstation declares.
  ['windows-949-2000', KOREAN],
  ['ibm-949_p11a-1999', KOREAN],
  ['windows-936-2000', 'gbk'],
  ['ibm-1386_p100-2001', 'gbk'],
  ['windows-950-2000', 'big5'],
  ['ibm-943_p15a-2003', 'shift_jis'],
  ['ibm-943_p130-1999', 'shift_jis'],
]);

/** Windows-1252 where it differs from Latin-1 (some Node versions decode these as Latin-1). */
const CP1252_HIGH = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** The decoder's own name of a declared encoding, or undefined when it is not one we can read, or one where ASCII is not itself. */
export function canonicalEncoding(declared: string): string | undefined {
  const label = declared.trim().toLowerCase();
  if (label === UTF8) return UTF8;
  try {
    const { encoding } = new TextDecoder(ALIASES.get(label) ?? label);
    return encoding.startsWith('utf-16') ? undefined : encoding;
  } catch {
    return undefined;
  }
}

/** Whether every byte of `bytes` is lawful in `encoding` (a name from `canonicalEncoding`). */
export function fitsEncoding(bytes: Uint8Array, encoding: string): boolean {
  if (encoding === FALLBACK_ENCODING) return true;
  if (encoding === UTF8) return isUtf8(bytes);
  if (encoding === KOREAN) {
    return !koreanDecoder()(Buffer.from(bytes).toString('latin1')).includes('\ufffd');
  }
  try {
    new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** A function from Latin-1 text (one character per byte) to the text those bytes mean in `encoding`. */
export function valueDecoder(encoding: string): (latin1: string) => string {
  if (encoding === FALLBACK_ENCODING) return decodeCp1252;
  if (encoding === KOREAN) return koreanDecoder();
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  return (latin1) => {
    if (!NON_ASCII.test(latin1)) return latin1;
    decoder ??= new TextDecoder(encoding, { ignoreBOM: true });
    return decoder.decode(Buffer.from(latin1, 'latin1'));
  };
}

/** The bytes of `text` in `encoding`; undefined when the encoding has no way to write it. */
export function encodeText(text: string, encoding: string): Buffer | undefined {
  if (LONE_SURROGATE.test(text)) return undefined;
  if (!NON_ASCII.test(text) || encoding === UTF8) return Buffer.from(text, 'utf8');
  const table = encodeTable(encoding);
  const parts: Buffer[] = [];
  for (const character of text) {
    const bytes = character < '\u0080' ? Buffer.from(character, 'latin1') : table.get(character);
    if (bytes === undefined) return undefined;
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

function decodeCp1252(latin1: string): string {
  return latin1.replace(/[\u0080-\u009f]/g, (character) => CP1252_HIGH[character.charCodeAt(0) - 0x80]!);
}

/** Korean Windows adds syllables to EUC-KR (code page 949), which Node's decoder leaves out. */
function koreanDecoder(): (latin1: string) => string {
  const decoder = new TextDecoder(KOREAN);
  const added = addedSyllables((pair) => decoder.decode(Buffer.from(pair, 'latin1')));
  return (latin1) =>
    latin1.replace(/[\u0081-\u00fe][A-Za-z\u0081-\u00fe]|[\u0080-\u00ff]/g, (unit) => {
      const known = added.get(unit);
      if (known !== undefined) return known;
      const standard = /^[\u00a1-\u00fe]{2}$/.test(unit);
      return standard ? decoder.decode(Buffer.from(unit, 'latin1')) : '\ufffd';
    });
}

/** All syllables that EUC-KR lacks, in Unicode's order, fill the pairs that EUC-KR leaves free, in theirs. */
function addedSyllables(decodePair: (pair: string) => string): Map<string, string> {
  const standard = new Set<string>();
  for (let first = 0xb0; first <= 0xc8; first++) {
    for (let second = 0xa1; second <= 0xfe; second++) {
      standard.add(decodePair(String.fromCharCode(first, second)));
    }
  }
  const added = new Map<string, string>();
  let syllable = 0xac00;
  for (let first = 0x81; first <= 0xc6; first++) {
    for (let second = 0x41; second <= (first <= 0xa0 ? 0xfe : 0xa0); second++) {
      if ((second > 0x5a && second < 0x61) || (second > 0x7a && second < 0x81)) continue;
      while (standard.has(String.fromCharCode(syllable))) syllable++;
      if (syllable > 0xd7a3) return added;
      added.set(String.fromCharCode(first, second), String.fromCharCode(syllable++));
    }
  }
  return added;
}

/** Node has decoders only: the table the other way is read off by decoding every one- and two-byte sequence once. */
function encodeTable(encoding: string): Map<string, Buffer> {
  const sequences: Buffer[] = [];
  for (let first = 0x80; first <= 0xff; first++) {
    sequences.push(Buffer.from([first]));
    if (encoding.startsWith('windows-') || encoding.startsWith('iso-')) continue;
    for (let second = 0x40; second <= 0xfe; second++) sequences.push(Buffer.from([first, second]));
  }
  const decode = valueDecoder(encoding);
  // A line feed is never swallowed by a broken sequence before it, so it keeps the answers apart.
  const decoded = decode(sequences.map((sequence) => `${sequence.toString('latin1')}\n`).join('')).split(
    '\n',
  );
  const table = new Map<string, Buffer>();
  for (const [index, sequence] of sequences.entries()) {
    const text = decoded[index]!;
    if ([...text].length === 1 && text !== '\ufffd' && !table.has(text)) table.set(text, sequence);
  }
  return table;
}

// Sizes and offsets as people type them. Rule: a size means one exact number of bytes or it is refused; nothing is
// rounded, and a unit that some read as 1000 and some as 1024 is not taken.
import { usageError } from './errors.ts';
import { SECTOR_BYTES } from './units.ts';

const UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  s: BigInt(SECTOR_BYTES),
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
  p: 1n << 50n,
};

/**
 * Bytes. `what` names the thing in messages: `--offset`, `SIZE`. Takes `4096`, `64k`, `1.5G`, `40GiB`, `63s` (sectors).
 * @throws VmdkError `usage`.
 */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+)(?:\.(\d+))?\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) {
    const negative = /^-\d/.test(text.trim());
    throw usageError(`${what}: "${text}" is ${negative ? 'negative' : 'no size'}`, ACCEPTED);
  }
  const [, whole = '', fraction = '', suffix = ''] = match;
  const unit = unitOf(suffix, whole + (fraction === '' ? '' : `.${fraction}`), what, text);
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * unit;
  if (scaled % scale !== 0n) throw usageError(`${what}: "${text}" is not a whole number of bytes`);
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw usageError(`${what}: "${text}" is more than ${Number.MAX_SAFE_INTEGER} bytes`);
  }
  return Number(bytes);
}

const ACCEPTED =
  'Sizes are bytes, or a number with k, M, G, T, P (powers of 1024) or s (sectors of 512 bytes).';

function unitOf(suffix: string, number: string, what: string, text: string): bigint {
  const letter = /^([kmgtp])(?:ib)?$/i.exec(suffix)?.[1] ?? (suffix === 's' ? 's' : undefined);
  const unit = suffix === '' ? UNITS[''] : letter === undefined ? undefined : UNITS[letter.toLowerCase()];
  if (unit !== undefined) return unit;
  const ambiguous = /^([kmgtp])b$/i.exec(suffix)?.[1];
  if (ambiguous !== undefined) {
    const short = ambiguous.toLowerCase() === 'k' ? 'k' : ambiguous.toUpperCase();
    throw usageError(
      `${what}: "${text}": ${suffix} means powers of 1000 to some and of 1024 to others`,
      `Write ${number}${short} for powers of 1024.`,
    );
  }
  throw usageError(`${what}: "${text}" has an unknown unit`, ACCEPTED);
}

/** Whole sectors. @throws VmdkError `usage` when it is not a multiple of 512. */
export function toSectors(bytes: number, what: string): number {
  if (bytes % SECTOR_BYTES === 0) return bytes / SECTOR_BYTES;
  throw usageError(`${what}: ${bytes} bytes are not whole sectors of ${SECTOR_BYTES}`);
}

// Names of snapshot deltas: the base name of the disk and six digits, the lowest number that nothing has taken (VMware
// KB 1018832; format.md 7.4). Rule: a number counts as taken as soon as any file, or any text, carries it.
import { VmdkError } from '../core/errors.ts';

const MOST = 999_999;
const NUMBERED = /^(.+)-(\d{6})$/s;

/** `web-000003.vmdk` of a delta is number 3 of `web`; of a base the whole name is its own. */
export function deltaStem(name: string, isDelta: boolean): string {
  const whole = name.replace(/\.vmdk$/i, '');
  return isDelta ? (NUMBERED.exec(whole)?.[1] ?? whole) : whole;
}

/** True for a name that a snapshot gave: it ends in six digits. */
export function isNumberedName(name: string): boolean {
  return NUMBERED.test(name.replace(/\.vmdk$/i, ''));
}

/**
 * The name of the next delta of the disk `stem`. `taken` are names of files, in any case: `web-000001-s001.vmdk` and
 * `web-000001.vmdk.lck` take number 1 as well as `web-000001.vmdk` does.
 * @throws VmdkError `refused` `no-number-left`.
 */
export function nextDeltaName(stem: string, taken: Iterable<string>): string {
  const prefix = `${folded(stem)}-`;
  const used = new Set<number>();
  for (const name of taken) {
    const low = folded(name);
    if (!low.startsWith(prefix)) continue;
    const digits = /^(\d{6})(?:[.-]|$)/.exec(low.slice(prefix.length))?.[1];
    if (digits !== undefined) used.add(Number(digits));
  }
  for (let number = 1; number <= MOST; number++) {
    if (!used.has(number)) return `${stem}-${String(number).padStart(6, '0')}.vmdk`;
  }
  throw new VmdkError('refused', 'no-number-left', 'every number for a delta of this disk is taken', {
    field: 'name',
    found: `${stem}-${MOST}.vmdk`,
    expected: 'a free number of six digits',
  });
}

/** File systems of Windows and macOS tell no cases apart. */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

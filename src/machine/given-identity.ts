// What an entry of a list of names says about its clone beside the name: UUID, MAC addresses, note. Rule: a key that
// means something is checked, however it is spelled; every other is the caller's own, and handed back.
import { usageError } from '../core/errors.ts';
import type { CloneName } from '../operations/clone-names.ts';
import type { GivenIdentity } from './new-identity.ts';

export interface GivenMachine extends GivenIdentity {
  /** The clone's name unless given. */
  readonly displayName: string;
  readonly annotation?: string;
}

/**
 * Reads `uuid`, `display-name`, `annotation`, and the addresses: `macs` is a list in the order of the cards (or what a plan told of them), `mac0` is
 * that of ethernet0, `mac` that of the first card. `cards` are the N of every ethernetN.
 * @throws VmdkError `usage`.
 */
export function givenMachine(entry: CloneName, cards: readonly number[]): GivenMachine {
  const text = (key: string): string | undefined => {
    const value = valueOf(entry, key);
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    throw usageError(`${JSON.stringify(entry.name)}: "${key}" is no text`);
  };
  const uuid = text('uuid');
  const annotation = text('annotation');
  const displayName = text('display-name') ?? entry.name;
  return {
    displayName,
    ...(uuid === undefined ? {} : { uuid }),
    ...(annotation === undefined ? {} : { annotation }),
    macs: macsOf(entry, cards, text),
  };
}

/** What stands under the key itself, else under one that is spelled otherwise: `MAC0`, `displayName`, `Display Name`. */
function valueOf(entry: CloneName, key: string): unknown {
  if (entry[key] !== undefined) return entry[key];
  const alike = Object.keys(entry).filter((other) => other !== key && plainKey(other) === plainKey(key));
  if (alike.length > 1)
    throw usageError(`${JSON.stringify(entry.name)}: "${alike.join('" and "')}" are one and the same`);
  return alike[0] === undefined ? undefined : entry[alike[0]];
}

function plainKey(key: string): string {
  return key.toLowerCase().replaceAll(/[-_ ]/g, '');
}

function macsOf(
  entry: CloneName,
  cards: readonly number[],
  text: (key: string) => string | undefined,
): (string | undefined)[] {
  const macs = listedMacs(entry.name, valueOf(entry, 'macs') ?? []);
  const put = (key: string, position: number): void => {
    const mac = text(key);
    if (mac === undefined) return;
    if (position < 0 || position >= cards.length) {
      throw usageError(
        `${JSON.stringify(entry.name)}: "${key}" is given for a machine that has ${cards.length === 0 ? 'no network card' : `ethernet${cards.join(', ethernet')}`}`,
      );
    }
    if (macs[position] !== undefined) {
      throw usageError(
        `${JSON.stringify(entry.name)}: the address of ethernet${cards[position]} is given twice`,
      );
    }
    macs[position] = mac;
  };
  put('mac', 0);
  const indexes = Object.keys(entry).flatMap((key) => /^mac(\d{1,2})$/.exec(plainKey(key))?.[1] ?? []);
  for (const index of new Set(indexes)) put(`mac${index}`, cards.indexOf(Number(index)));
  return macs;
}

/** A list of addresses, null for a card without; or as a plan tells them, whose generated ones the UUID gives again. */
function listedMacs(name: string, macs: unknown): (string | undefined)[] {
  const isPlanned = (mac: unknown): mac is { address: string; type: string } =>
    typeof mac === 'object' &&
    mac !== null &&
    'type' in mac &&
    'address' in mac &&
    typeof mac.address === 'string';
  const known = (mac: unknown): boolean => typeof mac === 'string' || mac === null || isPlanned(mac);
  if (!Array.isArray(macs) || !macs.every(known)) {
    throw usageError(`${JSON.stringify(name)}: "macs" is no list of addresses`);
  }
  return macs.map((mac: unknown) => {
    if (isPlanned(mac)) return mac.type === 'static' ? mac.address : undefined;
    return typeof mac === 'string' ? mac : undefined;
  });
}

// What an entry of a list of names says about its clone beside the name: UUID, MAC addresses, note. Rule: a key that
// means something is checked; every other is the caller's own, and handed back.
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
    const value = entry[key];
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

function macsOf(
  entry: CloneName,
  cards: readonly number[],
  text: (key: string) => string | undefined,
): (string | undefined)[] {
  const macs = listedMacs(entry);
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
  for (const key of Object.keys(entry)) {
    const index = /^mac(\d{1,2})$/.exec(key)?.[1];
    if (index !== undefined) put(key, cards.indexOf(Number(index)));
  }
  return macs;
}

/** A list of addresses, null for a card without; or as a plan tells them, whose generated ones the UUID gives again. */
function listedMacs({ name, macs = [] }: CloneName): (string | undefined)[] {
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

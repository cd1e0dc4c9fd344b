// Who a clone is: a BIOS UUID of its own and a MAC address for each network card. Rule: no two clones of a run, nor a
// clone and its source, share a UUID or an address.
// Source: addresses as VMware generates them (00:0c:29 and the last three bytes of uuid.bios, the Nth card ten more for
// each before it), seen alike in real .vmx files; ranges of static addresses from VMware's documentation.
import { usageError, VmdkError } from '../core/errors.ts';
import type { RandomBytes } from '../format/content-id.ts';

/** What the caller wants of one clone; the rest is made. */
export interface GivenIdentity {
  /** 32 hex digits in the order of the bytes in uuid.bios, however they are grouped. */
  readonly uuid?: string | undefined;
  /** One for each network card, in order; undefined leaves a card its generated address. */
  readonly macs?: readonly (string | undefined)[] | undefined;
}

export interface CloneAddress {
  /** N of ethernetN. */
  readonly index: number;
  /** Lower case, with colons. */
  readonly address: string;
  /** `generated` by VMware's rule, `static` when it was given. */
  readonly type: 'generated' | 'static';
  /** What is added to the last three bytes of the UUID; of generated ones. */
  readonly offset?: number;
  /** VMware checks static addresses to be 00:50:56:00:00:00 to 00:50:56:3f:ff:ff unless told not to. */
  readonly outsideVmwareRange?: true;
}

export interface CloneIdentity {
  /** As uuid.bios has it: `56 4d 0a … -…`. */
  readonly uuid: string;
  readonly addresses: readonly CloneAddress[];
}

/** What is taken already: everything that clones must not be given again. */
export interface TakenIdentities {
  readonly uuids: Set<string>;
  readonly macs: Set<string>;
}

const UUID_BYTES = 16;
const OFFSET_OF_NEXT_CARD = 10;
const GENERATED = '00:0c:29';
/** A random UUID meets a taken address once in thousands; this many times is a source of randomness that is none. */
const MOST_ATTEMPTS = 1000;

/**
 * A new identity, noted in `taken`. `cards` are the N of every ethernetN.
 * @throws VmdkError `usage` for what is no UUID or address, `duplicate-identity` (usage) for what is taken.
 */
export function newIdentity(
  cards: readonly number[],
  given: GivenIdentity,
  taken: TakenIdentities,
  random: RandomBytes,
): CloneIdentity {
  const macs = given.macs ?? [];
  if (macs.length > cards.length) {
    throw usageError(
      `${macs.length} MAC addresses are given for a machine that has ${cards.length}`,
      'Give at most one for each network card.',
    );
  }
  const fixed = macs.map((mac) => (mac === undefined ? undefined : parseMac(mac)));
  for (const mac of fixed) if (mac !== undefined) take(taken.macs, mac, 'MAC address');
  if (given.uuid !== undefined) {
    const uuid = parseUuid(given.uuid);
    take(taken.uuids, uuid.toString('hex'), 'UUID');
    const addresses = addressesOf(uuid, cards, fixed);
    for (const { address, type } of addresses)
      if (type === 'generated') take(taken.macs, address, 'MAC address');
    return { uuid: printUuid(uuid), addresses };
  }
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const uuid = Buffer.concat([Buffer.from('VM'), random(UUID_BYTES - 2)]);
    const addresses = addressesOf(uuid, cards, fixed);
    const generated = addresses.filter(({ type }) => type === 'generated').map(({ address }) => address);
    if (taken.uuids.has(uuid.toString('hex')) || generated.some((mac) => taken.macs.has(mac))) continue;
    taken.uuids.add(uuid.toString('hex'));
    for (const mac of generated) taken.macs.add(mac);
    return { uuid: printUuid(uuid), addresses };
  }
  throw new VmdkError('io', 'no-identity', 'no UUID could be found whose MAC addresses are free', {
    found: `${MOST_ATTEMPTS} attempts in vain, ${taken.macs.size} addresses taken`,
    hint: 'Make fewer clones at a time, or give the addresses.',
  });
}

/** The bytes of a UUID in any grouping. @throws VmdkError `usage`. */
export function parseUuid(text: string): Buffer {
  const digits = text.replace(/[\s:{}-]/g, '');
  if (/^[0-9a-f]{32}$/i.test(digits)) return Buffer.from(digits, 'hex');
  throw usageError(
    `${JSON.stringify(text)} is no UUID`,
    'A UUID has 32 hex digits, such as 564d3813-ebc0-8093-856b-f8f959ef9b9b.',
  );
}

/** `56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b` */
export function printUuid(uuid: Uint8Array): string {
  const half = (from: number): string =>
    [...uuid.subarray(from, from + UUID_BYTES / 2)].map((byte) => hex(byte)).join(' ');
  return `${half(0)}-${half(UUID_BYTES / 2)}`;
}

/** Lower case, with colons. @throws VmdkError `usage` for what is no address of one card. */
export function parseMac(text: string): string {
  const digits = /^(?:[0-9a-f]{12}|[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4})$/i.test(text)
    ? text.replace(/[:-]/g, '').toLowerCase()
    : undefined;
  if (digits === undefined) {
    throw usageError(`${JSON.stringify(text)} is no MAC address`, 'For example: 00:50:56:3a:00:01');
  }
  // The last bit of the first byte marks a group of cards.
  if ((Number.parseInt(digits.slice(0, 2), 16) & 1) === 1 || /^0+$/.test(digits)) {
    throw usageError(`${text} is the address of no network card`, 'For example: 00:50:56:3a:00:01');
  }
  return digits.match(/../g)!.join(':');
}

function addressesOf(
  uuid: Uint8Array,
  cards: readonly number[],
  fixed: readonly (string | undefined)[],
): CloneAddress[] {
  const low = (uuid[13]! << 16) | (uuid[14]! << 8) | uuid[15]!;
  return cards.map((index, position): CloneAddress => {
    const address = fixed[position];
    if (address !== undefined) {
      const odd = /^00:50:56:[0-3]/.test(address) ? {} : { outsideVmwareRange: true as const };
      return { index, address, type: 'static', ...odd };
    }
    const offset = OFFSET_OF_NEXT_CARD * index;
    const number = (low + offset) & 0xff_ffff;
    const bytes = [number >> 16, (number >> 8) & 0xff, number & 0xff];
    return { index, address: [GENERATED, ...bytes.map(hex)].join(':'), type: 'generated', offset };
  });
}

function take(taken: Set<string>, value: string, what: string): void {
  if (taken.has(value)) {
    throw new VmdkError('usage', 'duplicate-identity', `the ${what} ${value} is given twice`, {
      field: what,
      found: value,
      expected: 'one of its own for each clone, and none of the source',
    });
  }
  taken.add(value);
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

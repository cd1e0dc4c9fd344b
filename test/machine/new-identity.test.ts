// Identities of clones: UUIDs and addresses by VMware's rule, given ones, and that none is given out twice.
import { describe, expect, it } from 'vitest';
import { givenMachine } from '../../src/machine/given-identity.ts';
import { newIdentity, parseMac, parseUuid, printUuid } from '../../src/machine/new-identity.ts';

const nothingTaken = () => ({ uuids: new Set<string>(), macs: new Set<string>() });
const seeded = (first: number) => {
  let next = first;
  return (count: number) => Uint8Array.from({ length: count }, () => (next = (next * 73 + 41) & 0xff));
};

describe('a new identity', () => {
  it('has the addresses that VMware makes of the UUID, ten apart', () => {
    // As in a real .vmx of two cards.
    const given = { uuid: '56 4d 62 6f 59 bd 03 f3-e3 24 37 96 6d fa dd 2a' };
    const { uuid, addresses } = newIdentity([0, 1], given, nothingTaken(), seeded(1));
    expect(uuid).toBe('56 4d 62 6f 59 bd 03 f3-e3 24 37 96 6d fa dd 2a');
    expect(addresses).toEqual([
      { index: 0, address: '00:0c:29:fa:dd:2a', type: 'generated', offset: 0 },
      { index: 1, address: '00:0c:29:fa:dd:34', type: 'generated', offset: 10 },
    ]);
  });

  it('begins as those of VMware do, and is another each time', () => {
    const taken = nothingTaken();
    const random = seeded(3);
    const made = Array.from({ length: 20 }, () => newIdentity([0], {}, taken, random));
    for (const { uuid, addresses } of made) {
      expect(uuid).toMatch(/^56 4d( [0-9a-f]{2}){6}-[0-9a-f]{2}( [0-9a-f]{2}){7}$/);
      expect(addresses[0]!.address).toBe(`00:0c:29:${uuid.slice(-8).replaceAll(' ', ':')}`);
    }
    expect(new Set(made.map(({ uuid }) => uuid)).size).toBe(20);
    expect(taken.macs.size).toBe(20);
  });

  it('is looked for again when an address of it is taken', () => {
    const answers = [
      Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 1]),
      Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 2]),
    ];
    const taken = { uuids: new Set<string>(), macs: new Set(['00:0c:29:00:00:0b']) };
    const { addresses } = newIdentity([0, 1], {}, taken, () => answers.shift()!);
    expect(addresses.map(({ address }) => address)).toEqual(['00:0c:29:00:00:02', '00:0c:29:00:00:0c']);
    const same = () => new Uint8Array(14);
    newIdentity([0], {}, taken, same);
    expect(() => newIdentity([0], {}, taken, same)).toThrow(/no UUID could be found/);
  });

  it('carries over within the last three bytes', () => {
    const given = { uuid: '564d00000000000000000000acffffff' };
    const { addresses } = newIdentity([0, 1], given, nothingTaken(), seeded(1));
    expect(addresses.map(({ address }) => address)).toEqual(['00:0c:29:ff:ff:ff', '00:0c:29:00:00:09']);
  });

  it('takes given addresses as static ones, and says which VMware would not accept', () => {
    const given = { macs: ['00-50-56-3F-00-01', undefined, '02aabbccddee'] };
    const { addresses } = newIdentity([0, 1, 3], given, nothingTaken(), seeded(5));
    expect(addresses).toMatchObject([
      { index: 0, address: '00:50:56:3f:00:01', type: 'static' },
      { index: 1, type: 'generated', offset: 10 },
      { index: 3, address: '02:aa:bb:cc:dd:ee', type: 'static', outsideVmwareRange: true },
    ]);
    expect(addresses[0]).not.toHaveProperty('outsideVmwareRange');
  });

  it('refuses what is given twice, or to a card that is not there', () => {
    const taken = { uuids: new Set<string>(), macs: new Set(['00:50:56:00:00:01']) };
    const make = (given: object) => () => newIdentity([0], given, taken, seeded(1));
    expect(make({ macs: ['00:50:56:00:00:01'] })).toThrow(/00:50:56:00:00:01 is given twice/);
    make({ uuid: '564d0000000000000000000000000001' })();
    expect(make({ uuid: '564d0000-0000-0000-0000-000000000001' })).toThrow(/UUID .* is given twice/);
    // Another UUID that would give the card the same address.
    expect(make({ uuid: '564d0000000000000000000001000001' })).toThrow(/MAC address 00:0c:29:00:00:01/);
    expect(make({ macs: ['00:50:56:00:00:02', '00:50:56:00:00:03'] })).toThrow(/2 MAC addresses .* has 1/);
  });

  it.each(['', '00:50:56', '00:50:56:00:00:0g', '00:50-56:00:00:01', '01:00:5e:00:00:01', '000000000000'])(
    'takes %j for no address of a card',
    (text) => {
      expect(() => parseMac(text)).toThrow(/no MAC address|no network card/);
    },
  );

  it('reads a UUID in any grouping', () => {
    const bytes = parseUuid('564D3813-ebc0-8093-856b-f8f959ef9b9b');
    expect(printUuid(bytes)).toBe('56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b');
    expect(() => parseUuid('564d')).toThrow(/no UUID/);
  });
});

describe('what an entry of a list says', () => {
  it('is read by its key, and of addresses by their card', () => {
    const entry = {
      name: 'a',
      uuid: 'u',
      annotation: 'x',
      mac0: '1',
      macs: [null, null, '3'],
      ip: '10.0.0.1',
    };
    expect(givenMachine(entry, [0, 1, 4])).toEqual({
      displayName: 'a',
      uuid: 'u',
      annotation: 'x',
      macs: ['1', undefined, '3'],
    });
    expect(givenMachine({ name: 'a', mac4: '5' }, [0, 4]).macs).toEqual([undefined, '5']);
    expect(givenMachine({ name: 'a', MAC0: '1', displayName: 'A', Uuid: 'u' }, [0])).toEqual({
      displayName: 'A',
      uuid: 'u',
      macs: ['1'],
    });
    expect(givenMachine({ name: 'a', 'display-name': 'Web A', mac: '' }, [0])).toEqual({
      displayName: 'Web A',
      macs: [],
    });
  });

  it.each([
    [{ mac: 7 }, /"mac" is no text/],
    [{ macs: 'x' }, /"macs" is no list/],
    [{ mac7: 'x' }, /"mac7" is given for a machine that has ethernet0, ethernet2/],
    [{ mac: 'x', mac0: 'y' }, /ethernet0 is given twice/],
    [{ MAC0: 'x', Mac0: 'y' }, /"MAC0" and "Mac0" are one and the same/],
  ])('is refused when it is %j', (more, why) => {
    expect(() => givenMachine({ name: 'a', ...more }, [0, 2])).toThrow(why);
  });
});

// Folding grain tables of many links says the same as laying the links' maps over one another, also where tables are
// damaged or odd: same runs, same errors, and no finding that is not one.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SectorRun } from '../../src/block/run-list.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { MergedSource, type Chain } from '../../src/chain/chain.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { craftSparse, KDMV, marked, poke, pokeEntry, storeOf, text, type Crafted } from '../support/craft.ts';

const GRAIN = 8;
/** The last grain is cut short. */
const EXTENTS = [GRAIN * 40, GRAIN * 21 + 3] as const;
const CAPACITY = EXTENTS[0] + EXTENTS[1];

/** What a link says of each grain, and what is wrong with its tables. */
interface LinkSpec {
  readonly states: readonly ('absent' | 'zero' | 'data')[];
  readonly damage: readonly Damage[];
}

type Damage =
  | { readonly what: 'entry'; readonly extent: 0 | 1; readonly grain: number; readonly value: number }
  | { readonly what: 'table'; readonly extent: 0 | 1; readonly copyToo: boolean }
  | { readonly what: 'flag'; readonly extent: 0 | 1 };

function craftExtent(index: 0 | 1, link: number, spec: LinkSpec): Crafted {
  const count = Math.ceil(EXTENTS[index] / GRAIN);
  const states = spec.states.slice(index === 0 ? 0 : 40, index === 0 ? 40 : 40 + count);
  const numbers = [...states.keys()];
  const grains = Object.fromEntries(
    numbers
      .filter((grain) => states[grain] === 'data')
      .map((grain) => [grain, marked(`link${link}`, grain, GRAIN)]),
  );
  const zeros = numbers.filter((grain) => states[grain] === 'zero');
  const made = craftSparse({ capacity: EXTENTS[index], entriesPerTable: 16, grains, zeros });
  for (const damage of spec.damage) if (damage.extent === index) spoil(made, damage);
  return made;
}

function spoil(made: Crafted, damage: Damage): void {
  const count = made.tables.length;
  if (damage.what === 'entry') {
    const table = Math.floor(damage.grain / 16) % count;
    pokeEntry(made.bytes, made.tables[table]!, damage.grain % 16, damage.value);
  } else if (damage.what === 'table') {
    pokeEntry(made.bytes, made.gd, 0, 0x00ff_ffff);
    if (damage.copyToo) pokeEntry(made.bytes, made.rgd, 0, 0x00ff_ffff);
  } else {
    // Zero grains that the header does not declare.
    poke(made.bytes, KDMV, { flags: 3 });
  }
}

async function open(specs: readonly LinkSpec[]): Promise<Chain> {
  const files: Record<string, Buffer | string> = {};
  for (const [link, spec] of specs.entries()) {
    const isBase = link === specs.length - 1;
    files[`/vm/${link}.vmdk`] = text({
      createType: 'twoGbMaxExtentSparse',
      ...(isBase ? {} : { parentCid: '12345678', hint: `${link + 1}.vmdk` }),
      extents: EXTENTS.map((size, index) => `RW ${size} SPARSE "${link}-s00${index + 1}.vmdk"`),
    });
    for (const index of [0, 1] as const) {
      files[`/vm/${link}-s00${index + 1}.vmdk`] = craftExtent(index, link, spec).bytes;
    }
  }
  return openChain('/vm/0.vmdk', 'read', { fs: storeOf(files) });
}

/** All that `source` says of [start, end): the runs, or the error that ended them. */
async function outcome(
  source: Pick<Chain, 'map'>,
  start: number,
  end: number,
): Promise<SectorRun[] | string> {
  const said: SectorRun[] = [];
  try {
    for (let at = start; at < end;) {
      const runs = await source.map(sectorRange(at, end - at));
      said.push(...runs);
      at = runs.end;
    }
  } catch (error) {
    return String(error);
  }
  return said;
}

/** The same chain without tables to fold: every link is asked for its map. */
function withoutTables(chain: Chain): MergedSource {
  return new MergedSource(
    chain.links.map((link) => ({ capacity: link.capacity, map: (range) => link.map(range) })),
  );
}

/** What was crafted says of a sector: `state depth`; undefined where damage has the word. */
function craftedAt(specs: readonly LinkSpec[], sector: number): string | undefined {
  const extent = sector < EXTENTS[0] ? 0 : 1;
  const grain = Math.floor(sector / GRAIN);
  for (const [depth, { states, damage }] of specs.entries()) {
    if (damage.some((each) => each.extent === extent)) return undefined;
    if (states[grain] !== 'absent') return `${states[grain]} ${depth}`;
  }
  return `absent ${specs.length - 1}`;
}

function expectAsCrafted(specs: readonly LinkSpec[], runs: readonly SectorRun[]): void {
  for (const { start, count, state, depth } of runs) {
    for (let sector: number = start; sector < start + count; sector++) {
      const crafted = craftedAt(specs, sector);
      if (crafted !== undefined) expect(`${state} ${depth}`).toBe(crafted);
    }
  }
}

const saidBy = (chain: Chain): string[][] =>
  chain.links.map(({ findings }) => findings.map(({ code, message }) => `${code} ${message}`).sort());

const states = fc.array(fc.constantFrom('absent', 'absent', 'absent', 'zero', 'data'), {
  minLength: 62,
  maxLength: 62,
});
const extent = fc.constantFrom(0 as const, 1 as const);
const value = fc.constantFrom(0, 1, 2, 7, 40, 0x00ff_ffff);
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ what: fc.constant('entry' as const), extent, grain: fc.nat(39), value }),
  fc.record({ what: fc.constant('table' as const), extent, copyToo: fc.boolean() }),
  fc.record({ what: fc.constant('flag' as const), extent }),
);
const sound = fc.record({ states, damage: fc.constant<Damage[]>([]) });
const spoilt = fc.record({ states, damage: fc.array(damage, { minLength: 1, maxLength: 2 }) });
const range = fc
  .tuple(fc.nat(CAPACITY - 1), fc.nat(CAPACITY - 1))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b) + 1] as const);

describe('grain tables folded over one another', () => {
  it('say what the maps of the links say, for any range', async () => {
    const chains = fc.array(sound, { minLength: 2, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(chains, range, async (specs, [start, end]) => {
        const chain = await open(specs);
        expect(await outcome(chain, start, end)).toEqual(await outcome(withoutTables(chain), start, end));
        await chain.close();
      }),
      { seed: 5, numRuns: 80 },
    );
  });

  it('say what the maps of the links say where tables are damaged, and find nothing else', async () => {
    const chains = fc.array(fc.oneof(sound, spoilt), { minLength: 2, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(chains, range, async (specs, [start, end]) => {
        const [folded, plain] = [await open(specs), await open(specs)];
        const [ours, theirs] = [
          await outcome(folded, start, end),
          await outcome(withoutTables(plain), start, end),
        ];
        // A map may fail for a table that lies beside what was asked for: then folding may know the answer.
        if (typeof theirs === 'string' && typeof ours !== 'string') expectAsCrafted(specs, ours);
        else expect(ours).toEqual(theirs);
        // Maps read more than was asked for, and entries that a link above hides: they may find more, never less.
        for (const [link, findings] of saidBy(folded).entries()) {
          expect(saidBy(plain)[link]).toEqual(expect.arrayContaining(findings));
        }
        await Promise.all([folded.close(), plain.close()]);
      }),
      { seed: 6, numRuns: 150 },
    );
  });

  it('are what a sound chain is read by: no link is asked for its map', async () => {
    const absent = Array<'absent'>(62).fill('absent');
    const chain = await open([
      { states: absent, damage: [] },
      { states: absent.map((_, grain) => (grain % 3 === 0 ? 'data' : 'absent')), damage: [] },
    ]);
    const links = chain.links.map((link) => ({
      capacity: link.capacity,
      map: () => Promise.reject(new Error('asked for its map')),
      tables: link.tables,
    }));
    const runs = await new MergedSource(links).map(sectorRange(0, CAPACITY));
    expect(
      [...runs].filter(({ state }) => state === 'data').map(({ start, depth }) => [start, depth]),
    ).toEqual(Array.from({ length: 21 }, (_, index) => [index * 3 * GRAIN, 1]));
    await chain.close();
  });
});

// Reads a chain whose leaf is being written: the leaf is asked anew for every range, which costs a look into its tables;
// what lies below never changes, so its plans are kept whatever is written above.
import { absentBounds, overlay } from '../block/overlay.ts';
import { readMapped } from '../block/read-runs.ts';
import type { RunList } from '../block/run-list.ts';
import { assertWithin, sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import type { MergedSource } from './chain.ts';

export class LeafOverBelow {
  readonly #leaf: Pick<SectorSource, 'capacity' | 'map'>;
  readonly #below: MergedSource | undefined;

  constructor(leaf: Pick<SectorSource, 'capacity' | 'map'>, below: MergedSource | undefined) {
    this.#leaf = leaf;
    this.#below = below;
  }

  /** True when absent in the leaf does not mean zeros. */
  get hasParent(): boolean {
    return this.#below !== undefined;
  }

  async map(range: SectorRange): Promise<RunList> {
    assertWithin(range, this.#leaf.capacity);
    const runs = await this.#leaf.map(range);
    const absent = absentBounds(runs);
    if (absent === undefined || this.#below === undefined) return runs;
    const wanted = sectorRange(absent.start, absent.end - absent.start);
    return overlay(runs, await this.#below.plan(wanted), 1);
  }

  read(range: SectorRange, into: Uint8Array): Promise<void> {
    return readMapped(this, range, into);
  }
}

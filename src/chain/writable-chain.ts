// Writing into the leaf of a chain. A grain that the leaf does not have yet is made whole here, from what lies below,
// under one lock per range of grains: the leaf only ever sees whole new grains.
import { assertWithin, sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorTarget } from '../block/sector-source.ts';
import { RangeLock } from '../core/range-lock.ts';
import { allocateRoom } from '../core/room.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { WritableDisk } from '../disk/disk.ts';
import type { Chain } from './chain.ts';
import type { LeafOverBelow } from './leaf-over-below.ts';

const LARGEST_ZERO_WRITE = (1 << 20) / SECTOR_BYTES;

export interface WritableChain extends Chain, SectorTarget {
  readonly leaf: WritableDisk;
  plan: Chain['plan'];
}

export class LeafWriter {
  readonly #leaf: WritableDisk;
  readonly #merged: LeafOverBelow;
  readonly #lock = new RangeLock();

  constructor(leaf: WritableDisk, merged: LeafOverBelow) {
    this.#leaf = leaf;
    this.#merged = merged;
  }

  async write(start: Sectors, data: Uint8Array): Promise<void> {
    if (data.length % SECTOR_BYTES !== 0) throw new RangeError(`${data.length} bytes are not whole sectors`);
    const range = sectorRange(start, data.length / SECTOR_BYTES);
    assertWithin(range, this.#leaf.capacity);
    if (range.count === 0) return;
    await this.#lockGrains(range, () => this.#writeLocked(range, data));
  }

  /** Stores nothing where the disk reads as zeros already. */
  async zero(range: SectorRange): Promise<void> {
    assertWithin(range, this.#leaf.capacity);
    const end = range.start + range.count;
    let at: number = range.start;
    while (at < end) {
      const runs = await this.#merged.map(sectorRange(at, end - at));
      for (let index = 0; index < runs.length; index++) {
        if (!runs.isDataAt(index)) continue;
        const part = sectorRange(runs.startAt(index), runs.endAt(index) - runs.startAt(index));
        if (runs.depthAt(index) === 0) await this.#writeZeros(part);
        else await this.#hide(part);
      }
      at = runs.end;
    }
  }

  /** Zeros over data of a parent: whole grains by metadata, the rest by writing. */
  async #hide(range: SectorRange): Promise<void> {
    const end = range.start + range.count;
    const first = this.#leaf.grainAt(range.start);
    const last = this.#leaf.grainAt(end - 1);
    const from = first.start === range.start ? first.start : first.start + first.count;
    const to = last.start + last.count === end ? end : last.start;
    if (from >= to) return this.#writeZeros(range);
    await this.#writeZeros(sectorRange(range.start, from - range.start));
    const whole = sectorRange(from, to - from);
    await this.#lockGrains(whole, () => this.#leaf.zeroGrains(whole, this.#merged.hasParent));
    await this.#writeZeros(sectorRange(to, end - to));
  }

  async #writeZeros(range: SectorRange): Promise<void> {
    const zeros = Buffer.alloc(Math.min(range.count, LARGEST_ZERO_WRITE) * SECTOR_BYTES);
    for (let done = 0; done < range.count; done += LARGEST_ZERO_WRITE) {
      const count = Math.min(LARGEST_ZERO_WRITE, range.count - done);
      await this.write((range.start + done) as Sectors, zeros.subarray(0, count * SECTOR_BYTES));
    }
  }

  async #writeLocked(range: SectorRange, data: Uint8Array): Promise<void> {
    const end = range.start + range.count;
    let at: number = range.start;
    while (at < end) {
      const runs = await this.#leaf.map(sectorRange(at, end - at));
      let index = 0;
      while (index < runs.length) {
        const from = runs.startAt(index);
        const allocated = runs.isDataAt(index);
        let to = runs.endAt(index);
        for (index++; index < runs.length && runs.isDataAt(index) === allocated; index++)
          to = runs.endAt(index);
        const part = data.subarray((from - range.start) * SECTOR_BYTES, (to - range.start) * SECTOR_BYTES);
        if (allocated) await this.#leaf.write(from as Sectors, part);
        else await this.#writeNew(from, to, part);
      }
      at = runs.end;
    }
  }

  /** Completes the grains at both ends of [from, to) and writes them whole. */
  async #writeNew(from: number, to: number, part: Uint8Array): Promise<void> {
    const first = this.#leaf.grainAt(from);
    const last = this.#leaf.grainAt(to - 1);
    const end = last.start + last.count;
    const whole = first.start === from && end === to;
    await this.#leaf.write(
      first.start,
      whole ? part : await this.#complete(first.start, from, to, end, part),
    );
  }

  async #complete(
    start: number,
    from: number,
    to: number,
    end: number,
    part: Uint8Array,
  ): Promise<Uint8Array> {
    const whole = allocateRoom((end - start) * SECTOR_BYTES);
    const head = sectorRange(start, from - start);
    const tail = sectorRange(to, end - to);
    await Promise.all([
      this.#merged.read(head, whole.subarray(0, head.count * SECTOR_BYTES)),
      this.#merged.read(tail, whole.subarray((to - start) * SECTOR_BYTES)),
    ]);
    whole.set(part, (from - start) * SECTOR_BYTES);
    return whole;
  }

  #lockGrains<T>(range: SectorRange, work: () => Promise<T>): Promise<T> {
    const first = this.#leaf.grainAt(range.start);
    const last = this.#leaf.grainAt(range.start + range.count - 1);
    return this.#lock.run(first.start, last.start + last.count, work);
  }
}

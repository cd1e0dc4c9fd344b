// Grains that were found by scanning, and pages of table entries made from them. Memory follows the grains that are
// there, 16 bytes each of 512 or more in the file, never the capacity that a header claims.

export class FoundGrains {
  #grains: number[] = [];
  #sectors: number[] = [];

  /** Grains known; right after `settle`. */
  get count(): number {
    return this.#grains.length;
  }

  /** Notes that grain `grain` has its marker at sector `sector` of the file. */
  add(grain: number, sector: number): void {
    this.#grains.push(grain);
    this.#sectors.push(sector);
  }

  /** Puts the grains in order, the last of equal ones kept. Gives the first grain that was there more than once. */
  settle(): number | undefined {
    const [grains, sectors] = [this.#grains, this.#sectors];
    let twice: number | undefined;
    const ascending = grains.every((grain, index) => index === 0 || grain > grains[index - 1]!);
    if (ascending) return undefined;
    const order = Array.from(grains.keys()).sort((a, b) => grains[a]! - grains[b]! || a - b);
    this.#grains = [];
    this.#sectors = [];
    for (const index of order) {
      const last = this.#grains.length - 1;
      if (last >= 0 && this.#grains[last] === grains[index]) {
        twice ??= grains[index]!;
        this.#sectors[last] = sectors[index]!;
      } else this.add(grains[index]!, sectors[index]!);
    }
    return twice;
  }

  /** Table entries of `count` grains from grain `first` on; 0 where there is none. */
  entries(first: number, count: number): Uint32Array {
    const entries = new Uint32Array(count);
    for (let at = this.#indexFrom(first); at < this.#grains.length; at++) {
      const index = this.#grains[at]! - first;
      if (index >= count) break;
      entries[index] = this.#sectors[at]!;
    }
    return entries;
  }

  /** Index of the first grain that is not below `grain`. */
  #indexFrom(grain: number): number {
    let low = 0;
    let high = this.#grains.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#grains[middle]! < grain) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

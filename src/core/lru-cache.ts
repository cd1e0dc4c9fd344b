// A cache bounded by cost, not by count: what was used longest ago goes first.

export class LruCache<K, V> {
  readonly #entries = new Map<K, { value: V; cost: number }>();
  readonly #limit: number;
  #cost = 0;
  /** The key that was used last: asking for it again changes no order. */
  #newest: K | undefined;

  /** `limit` is in the unit of the costs given to `set`; one entry dearer than it is still kept, alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (key !== this.#newest) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      this.#newest = key;
    }
    return entry.value;
  }

  set(key: K, value: V, cost: number): void {
    this.delete(key);
    this.#entries.set(key, { value, cost });
    this.#newest = key;
    this.#cost += cost;
    for (const [oldest, entry] of this.#entries) {
      if (this.#cost <= this.#limit || this.#entries.size === 1) break;
      this.#entries.delete(oldest);
      this.#cost -= entry.cost;
    }
  }

  delete(key: K): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#cost -= entry.cost;
  }

  clear(): void {
    this.#entries.clear();
    this.#cost = 0;
  }
}

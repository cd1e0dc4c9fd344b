// Judges the grains of a stream by their markers: the right grain, a possible length, a zlib stream, within the file.
// Asked to go deep, it inflates each, which proves every byte: zlib streams carry a checksum.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { GRAIN_MARKER_BYTES, GrainMarker } from '../format/stream-marker.ts';
import { inflateWithin } from '../worker/inflate.ts';
import { misplaced } from './check-findings.ts';
import type { ExtentCheck } from './check-context.ts';
import { KIND, nameOf, type CheckedDirectories } from './check-sparse-directory.ts';
import type { Take } from './check-space.ts';
import { ByteWindow } from './check-window.ts';

/** Read at once: markers are some ten KiB apart; to inflate, all is needed. */
const SHALLOW_SPAN = 16 << 10;
const DEEP_SPAN = 1 << 20;
/** Head, an empty block and the checksum: no zlib stream is shorter. */
const SHORTEST_STREAM = 8;
/** Grains being inflated at one time. */
const IN_FLIGHT = 8;

export class StreamGrainJudge {
  readonly grains: number;
  allocated = 0;
  readonly #check: ExtentCheck;
  readonly #directories: CheckedDirectories;
  readonly #window: ByteWindow;
  readonly #inflating = new Set<Promise<void>>();
  #last = 0;
  #descending = 0;
  #firstDescending = 0;

  constructor(check: ExtentCheck, directories: CheckedDirectories) {
    const { capacity, grainSize } = directories.header;
    this.#check = check;
    this.#directories = directories;
    this.grains = ceilDiv(capacity, grainSize);
    this.#window = new ByteWindow(check.file, check.fileBytes, check.deep ? DEEP_SPAN : SHALLOW_SPAN);
  }

  offsetOf(grain: number): number {
    const { places, header } = this.#directories;
    const place = places[Math.floor(grain / header.numGTEsPerGT)]!;
    return place * SECTOR_BYTES + (grain % header.numGTEsPerGT) * 4;
  }

  /** Takes the space of a grain whose marker is right; with `judge`, notes what is not. */
  async takeGrain(grain: number, entry: number, judge: boolean, take: Take): Promise<void> {
    const { header } = this.#directories;
    const { file, fileBytes, log } = this.#check;
    const at = entry * SECTOR_BYTES;
    const first = header.descriptorOffset + header.descriptorSize;
    if (entry < Math.max(1, first) || at + GRAIN_MARKER_BYTES > fileBytes) {
      const last = Math.floor(fileBytes / SECTOR_BYTES);
      const message = () => misplaced(`grain ${grain}`, entry, Math.max(1, first), last);
      if (judge) log.error('GTE-RANGE', { path: file.path, offset: this.offsetOf(grain) }, message);
      return;
    }
    const ahead = GRAIN_MARKER_BYTES + 2;
    const bytes = this.#window.peek(at, ahead) ?? (await this.#window.get(at, ahead));
    const { lba, size } = GrainMarker.decode(bytes);
    if (!this.#isMarkerSound(grain, at, lba, size, bytes, judge)) return;
    take(KIND.grain, grain, entry, ceilDiv(GRAIN_MARKER_BYTES + size, SECTOR_BYTES));
    if (!judge) return;
    this.allocated++;
    if (entry < this.#last && this.#descending++ === 0) this.#firstDescending = grain;
    this.#last = entry;
    if (this.#check.deep) await this.#startInflating(grain, at, size);
  }

  /** Waits for what is being inflated, and notes what was only counted. */
  async finish(): Promise<void> {
    await Promise.all(this.#inflating);
    if (this.#descending === 0) return;
    const { file, log } = this.#check;
    const grain = this.#firstDescending;
    const message = () =>
      `${this.#descending} grains lie before the grain that precedes them on the disk, the first is grain ${grain}: importers that read once from front to end refuse this`;
    log.warning('ORDER', { path: file.path, offset: this.offsetOf(grain), repairable: true }, message);
  }

  #isMarkerSound(
    grain: number,
    at: number,
    lba: bigint,
    size: number,
    bytes: Buffer,
    judge: boolean,
  ): boolean {
    const { grainSize } = this.#directories.header;
    const { file, fileBytes, log } = this.#check;
    const detail = { path: file.path, offset: at };
    const wanted = grain * grainSize;
    if (lba !== BigInt(wanted)) {
      const message = () =>
        `${nameOf({ kind: KIND.grain, index: grain })} has the marker of sector ${lba}, expected ${wanted}`;
      if (judge) log.error('GRAIN-LBA', detail, message);
      return false;
    }
    const largest = 2 * grainSize * SECTOR_BYTES;
    if (size < SHORTEST_STREAM || size > largest) {
      const message = () =>
        `grain ${grain} would be ${size} bytes long when compressed, expected ${SHORTEST_STREAM} to ${largest}`;
      if (judge) log.error('GRAIN-ZLIB', detail, message);
      return false;
    }
    if (at + GRAIN_MARKER_BYTES + size > fileBytes) {
      const message = () =>
        `the file ends at byte ${fileBytes}, within grain ${grain}, which starts at byte ${at}`;
      if (judge) log.error('TRUNC', detail, message);
      return false;
    }
    const method = bytes[GRAIN_MARKER_BYTES]!;
    if (judge && ((method & 15) !== 8 || (method * 256 + bytes[GRAIN_MARKER_BYTES + 1]!) % 31 !== 0)) {
      log.error('GRAIN-ZLIB', detail, () => `grain ${grain} is not a zlib stream: it cannot be inflated`);
    }
    return true;
  }

  async #startInflating(grain: number, at: number, size: number): Promise<void> {
    while (this.#inflating.size >= IN_FLIGHT) await Promise.race(this.#inflating);
    const stored = await this.#window.get(at + GRAIN_MARKER_BYTES, size);
    const work = this.#inflate(grain, at, stored).finally(() => this.#inflating.delete(work));
    this.#inflating.add(work);
  }

  async #inflate(grain: number, at: number, stored: Buffer): Promise<void> {
    const { file, log } = this.#check;
    const { grainSize, capacity } = this.#directories.header;
    // A head that is no zlib head was noted already.
    if ((stored[0]! & 15) !== 8 || (stored[0]! * 256 + (stored[1] ?? 0)) % 31 !== 0) return;
    const detail = { path: file.path, offset: at };
    let length: number;
    try {
      length = await inflateWithin(stored, grainSize * SECTOR_BYTES, (inflated) => inflated.length);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error('GRAIN-ZLIB', detail, () => `grain ${grain} cannot be inflated: ${reason}`);
      return;
    }
    const needed = Math.min(grainSize, capacity - grain * grainSize) * SECTOR_BYTES;
    if (length >= needed) return;
    log.error('GRAIN-ZLIB', detail, () => `grain ${grain} inflates to ${length} bytes, expected ${needed}`);
  }
}

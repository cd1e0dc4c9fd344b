// Where each grain of a hosted sparse extent is: grain directory, grain tables, and their redundant copies.
// A damaged primary entry is answered by the redundant copy, and said so; both damaged is an error, never zeros.
import type { GrainColumn, GrainTables } from '../block/grain-fold.ts';
import type { DataOrigin, RunList } from '../block/run-list.ts';
import type { SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_FLAGS, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { ExtentMemory, type Scratch } from './extent-memory.ts';
import type { FoundGrains } from './found-grains.ts';
import type { GrainMap } from './grain-map.ts';
import {
  assertTableCount,
  readDirectory,
  readTables,
  tableCount,
  TABLES_PER_PAGE,
  type SparseDirectory,
} from './sparse-directory.ts';
import { rawEntries, type TableEntries } from './table-entries.ts';
import { TablePages, type PageLoader } from './table-pages.ts';

/** Entries of a table, as every writer known makes them. */
const USUAL_TABLE = 512;

export class SparseGrains implements GrainMap {
  readonly grainSize: number;
  readonly pages: TablePages;
  readonly entriesPerPage: number;
  readonly header: SparseHeader;
  /** The directory that reads go by; its redundant copy where the extent has one that can be read. */
  readonly directory: SparseDirectory;
  readonly redundant: SparseDirectory | undefined;
  readonly #file: RandomAccessFile;
  readonly #origin: DataOrigin;
  readonly #onFinding: OnFinding;
  /** Sectors of header, descriptor and directories, as [start, end). */
  readonly #metadata: readonly (readonly [start: number, end: number])[];
  readonly #metadataEnd: number;
  readonly #scratch: Scratch;
  readonly #said = new Set<string>();
  /** Sectors of the file; grows when a writer appends. */
  fileSectors: number;

  private constructor(
    file: RandomAccessFile,
    header: SparseHeader,
    fileSectors: number,
    origin: DataOrigin,
    onFinding: OnFinding,
    directories: { directory: SparseDirectory; redundant: SparseDirectory | undefined },
    memory: ExtentMemory,
    load?: PageLoader,
  ) {
    this.#file = file;
    this.header = header;
    this.grainSize = header.grainSize;
    this.entriesPerPage = header.numGTEsPerGT * TABLES_PER_PAGE;
    this.fileSectors = fileSectors;
    this.#origin = origin;
    this.#onFinding = onFinding;
    this.directory = directories.directory;
    this.redundant = directories.redundant;
    const directorySectors = ceilDiv(tableCount(header) * 4, SECTOR_BYTES);
    this.#metadata = [
      [0, Math.max(1, header.descriptorOffset + header.descriptorSize)],
      ...[directories.directory, directories.redundant].flatMap((directory): [number, number][] =>
        directory === undefined ? [] : [[directory.offset, directory.offset + directorySectors]],
      ),
    ];
    this.#metadataEnd = Math.max(...this.#metadata.map(([, end]) => end));
    this.#scratch = memory.scratch;
    this.pages = new TablePages(load ?? ((page, into) => this.#loadPage(page, into)), memory.keptTables(), {
      kept: memory.keptEntries(),
      scratch: memory.scratch,
      length: this.entriesPerPage,
      step: header.compressed ? 0 : header.grainSize,
    });
  }

  /**
   * Reads the directory (header.gdOffset must be known) and, when it is damaged, its redundant copy.
   * @throws VmdkError `grain-directory-damaged` when neither can be used.
   */
  static async open(
    file: RandomAccessFile,
    header: SparseHeader,
    origin: DataOrigin,
    onFinding: OnFinding,
    memory = new ExtentMemory(),
  ): Promise<SparseGrains> {
    const fileSectors = Math.floor((await file.size()) / SECTOR_BYTES);
    const directories = await openDirectories(file, header, fileSectors, memory, onFinding);
    return new SparseGrains(file, header, fileSectors, origin, onFinding, directories, memory);
  }

  /**
   * A map over grains that were found without a directory (a scanned stream).
   * @throws VmdkError `grain-directory-damaged` when the header claims more tables than are ever read.
   */
  static ofFound(
    file: RandomAccessFile,
    header: SparseHeader,
    origin: DataOrigin,
    found: FoundGrains,
    fileSectors: number,
    memory = new ExtentMemory(),
  ): SparseGrains {
    assertTableCount(file.path, header);
    const directories = { directory: { offset: 0, entries: new Uint32Array(0) }, redundant: undefined };
    const perPage = header.numGTEsPerGT * TABLES_PER_PAGE;
    const load = (page: number) => Promise.resolve(found.entries(page * perPage, perPage));
    return new SparseGrains(file, header, fileSectors, origin, () => undefined, directories, memory, load);
  }

  async addRuns(range: SectorRange, into: RunList): Promise<void> {
    const end = range.start + range.count;
    while (into.end < end && into.length < MAP_RUN_LIMIT) {
      const page = Math.floor(into.end / (this.entriesPerPage * this.grainSize));
      const entries = this.pages.peekEntries(page) ?? (await this.#soundPage(page));
      if (entries !== undefined) await this.#addEntries(page * this.entriesPerPage, entries, end, into);
      else await this.#addTable(end, into);
    }
  }

  /** The entries of a page; undefined when some table of it is damaged. */
  async #soundPage(page: number): Promise<TableEntries | undefined> {
    try {
      return await this.pages.entries(page);
    } catch (error) {
      if (error instanceof VmdkError && error.code === 'grain-table-damaged') return undefined;
      throw error;
    }
  }

  /** Adds what one table says: a damaged one must not take the others of its page with it. */
  async #addTable(end: number, into: RunList): Promise<void> {
    const perTable = this.header.numGTEsPerGT;
    const table = Math.floor(into.end / (perTable * this.grainSize));
    const entries = new Uint32Array(perTable);
    await this.#readTables(table, 1, this.#sayTable, entries);
    const stop = Math.min(end, (table + 1) * perTable * this.grainSize);
    await this.#addEntries(
      table * perTable,
      rawEntries(entries, this.header.compressed ? 0 : this.grainSize),
      stop,
      into,
    );
  }

  /**
   * The tables as they stand, for laying them over those of other links; undefined where the extent's are not of the
   * usual kind. Reads the file anew each time: nobody may be writing to it.
   */
  tables(): GrainTables | undefined {
    const { grainSize, header } = this;
    if (header.compressed || header.numGTEsPerGT > USUAL_TABLE) return undefined;
    return { grainSize, read: (range) => this.#readColumn(range) };
  }

  async #readColumn(range: SectorRange): Promise<readonly GrainColumn[] | undefined> {
    const { grainSize, header } = this;
    const perTable = header.numGTEsPerGT;
    const grain = Math.floor(range.start / grainSize);
    const count = ceilDiv(range.start + range.count, grainSize) - grain;
    const table = Math.floor(grain / perTable);
    const tables = Math.floor((grain + count - 1) / perTable) + 1 - table;
    const entries = this.#scratch.take(tables * perTable);
    const done = (): void => this.#scratch.giveBack(entries);
    let odd = false;
    try {
      await this.#readTables(table, tables, () => (odd = true), entries);
    } catch (error) {
      if (!(error instanceof VmdkError)) throw error;
      odd = true;
    }
    if (odd) {
      done();
      return undefined;
    }
    const column: GrainColumn = {
      start: grain * grainSize,
      count,
      entries,
      first: grain - table * perTable,
      zeros: (header.flags & SPARSE_FLAGS.zeroedGrains) === 0 ? 0 : ZERO_GRAIN,
      lowest: Math.max(header.overHead, this.#metadataEnd, ZERO_GRAIN + 1),
      highest: this.fileSectors - grainSize,
      origin: this.#origin,
      done,
    };
    return [column];
  }

  /** Adds what `entries`, of a page or a table that begins with grain `first`, say up to sector `end`. */
  async #addEntries(first: number, entries: TableEntries, end: number, into: RunList): Promise<void> {
    const { grainSize, header } = this;
    const start = first * grainSize;
    const stop = Math.min(end, start + this.entriesPerPage * grainSize);
    const lastEntry = ceilDiv(stop - start, grainSize);
    let at = Math.floor((into.end - start) / grainSize);
    while (at < lastEntry && into.length < MAP_RUN_LIMIT) {
      const stretch = entries.stretchOf(at);
      const entry = entries.entryAt(stretch, at);
      const grainStart = start + at * grainSize;
      // Grains that follow one another in the file are judged and added together: most of a disk is such stretches.
      let next = entries.endFrom(stretch, at, lastEntry);
      if (entry > ZERO_GRAIN && !this.#isSound(entry, grainStart, next - at)) next = at + 1;
      const count = Math.min(stop, start + next * grainSize) - into.end;
      const within = into.end - (start + at * grainSize);
      if (entry === 0) into.addAbsent(count);
      else if (entry === ZERO_GRAIN) this.#addZero(count, into);
      else {
        const good = this.#isSound(entry, grainStart, next - at)
          ? entry
          : await this.#fromRedundant(grainStart / grainSize, entry);
        if (good === 0) into.addAbsent(count);
        else if (good === ZERO_GRAIN) into.addZero(count);
        else if (header.compressed) into.addData(count, this.#origin, good * SECTOR_BYTES, into.end);
        else into.addData(count, this.#origin, (good + within) * SECTOR_BYTES);
      }
      at = next;
    }
  }

  /** True when what the guest can see of `grains` grains at `entry` lies behind the metadata and within the file. */
  #isSound(entry: number, grainStart: number, grains = 1): boolean {
    const { compressed, capacity, overHead } = this.header;
    if (entry < overHead) return false;
    const seen = compressed ? 1 : Math.min(grains * this.grainSize, capacity - grainStart);
    return entry + seen <= this.fileSectors && (compressed || !this.#crossesMetadata(entry, entry + seen));
  }

  /** An overHead that lies must not have header, descriptor or directories read as contents. */
  #crossesMetadata(start: number, end: number): boolean {
    // Grains usually lie behind all of it: one comparison then, since this is asked for every stored grain.
    if (start >= this.#metadataEnd) return false;
    return this.#metadata.some(([from, to]) => from < end && start < to);
  }

  #addZero(count: number, into: RunList): void {
    if ((this.header.flags & SPARSE_FLAGS.zeroedGrains) === 0) {
      this.#sayOnce(
        'GTE1-FLAG',
        'zero grains are used but the header does not declare them; read as zeros',
        true,
      );
    }
    into.addZero(count);
  }

  /** The redundant copy of a grain's table entry, when the primary one cannot be right. */
  async #fromRedundant(grain: number, entry: number): Promise<number> {
    const perTable = this.header.numGTEsPerGT;
    const table = Math.floor(grain / perTable);
    const place = this.directory.entries[table]! * SECTOR_BYTES + (grain % perTable) * 4;
    const copyTable = this.redundant?.entries[table] ?? 0;
    if (copyTable !== 0) {
      const bytes = Buffer.alloc(4);
      await this.#file.readExactly(bytes, copyTable * SECTOR_BYTES + (grain % perTable) * 4);
      const copy = decodeTable(bytes)[0]!;
      if (copy !== entry && (copy <= ZERO_GRAIN || this.#isSound(copy, grain * this.grainSize))) {
        const what = `grain ${grain}: the table says sector ${entry}, which cannot be; read by the redundant table`;
        this.#sayOnce('GTE-RANGE', what, true, place);
        return copy;
      }
    }
    throw new VmdkError('corrupt', 'grain-out-of-range', `grain ${grain} cannot be where its table says`, {
      path: this.#file.path,
      offset: place,
      field: 'grain table entry',
      found: `sector ${entry}`,
      expected: `sector ${this.header.overHead} to ${this.fileSectors} (end of file)`,
    });
  }

  async #loadPage(page: number, room?: Uint32Array): Promise<Uint32Array> {
    const into = room ?? new Uint32Array(this.entriesPerPage);
    const first = page * TABLES_PER_PAGE;
    const count = Math.min(TABLES_PER_PAGE, this.directory.entries.length - first);
    await this.#readTables(first, count, this.#sayTable, into);
    return into;
  }

  readonly #sayTable = (what: string, offset: number): void => this.#sayOnce('GD-RANGE', what, true, offset);

  #readTables(
    first: number,
    count: number,
    say: (what: string, offset: number) => void,
    into: Uint32Array,
  ): Promise<void> {
    const copyOf = (table: number): number => this.redundant?.entries[table] ?? 0;
    const context = { file: this.#file, header: this.header, fileSectors: this.fileSectors };
    return readTables(context, this.directory, copyOf, first, count, say, into);
  }

  #sayOnce(code: string, message: string, repairable: boolean, offset?: number): void {
    if (this.#said.has(code)) return;
    this.#said.add(code);
    const place = offset === undefined ? {} : { offset };
    this.#onFinding({ code, severity: 'warning', message, path: this.#file.path, repairable, ...place });
  }
}

async function openDirectories(
  file: RandomAccessFile,
  header: SparseHeader,
  fileSectors: number,
  memory: ExtentMemory,
  onFinding: OnFinding,
): Promise<{ directory: SparseDirectory; redundant: SparseDirectory | undefined }> {
  const redundant =
    header.rgdOffset === undefined
      ? undefined
      : await readDirectory(file, header, header.rgdOffset, fileSectors, memory).catch(ignoreDamage);
  try {
    return { directory: await readDirectory(file, header, header.gdOffset!, fileSectors, memory), redundant };
  } catch (error) {
    if (redundant === undefined || !(error instanceof VmdkError) || error.kind !== 'corrupt') throw error;
    onFinding({
      code: 'GD-RANGE',
      severity: 'warning',
      message: `the grain directory cannot be used (${error.message}); read by the redundant one`,
      path: file.path,
      repairable: true,
    });
    return { directory: redundant, redundant: undefined };
  }
}

function ignoreDamage(error: unknown): undefined {
  if (error instanceof VmdkError && error.kind === 'corrupt') return undefined;
  throw error;
}

// Mends a hosted sparse extent. Where the two copies of a table differ, each entry is judged by itself: one that
// cannot be loses, nothing loses against a place that nobody else has, a place that another grain has loses against
// one that is free; otherwise the primary copy, which writers set first, is right.
import { SECTOR_BYTES } from '../core/units.ts';
import { throwIfAborted } from '../core/task.ts';
import { SPARSE_FLAGS, SparseExtentHeader, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { judgeSparseHeader } from '../grain/check-header.ts';
import { FindingLog } from '../grain/check-findings.ts';
import { Claims } from './repair-claims.ts';
import { changeHeader, hasCode, readEntries, writeEntries, type ExtentMend } from './repair-context.ts';
import { mendCutMetadata } from './repair-cut.ts';
import { mendDirectories, shapeOf, type Directories, type Directory } from './repair-directories.ts';

/** Entries that differ; more than that is no damage to mend. */
const MOST_DIFFERENCES = 4 << 20;

export async function mendSparse(mend: ExtentMend): Promise<void> {
  const { file } = mend;
  const first = Buffer.alloc(SparseExtentHeader.byteLength);
  await file.readExactly(first, 0);
  const header = judgeSparseHeader(first, file.path, 0, new FindingLog());
  if (header === undefined || header.capacity === 0) return;
  // A text-mode transfer has shifted everything: nothing in the file can be trusted.
  if (hasCode(mend, 'NEWLINE')) return;
  if (hasCode(mend, 'GTE1-FLAG')) await declareZeros(mend);
  if (hasCode(mend, 'TAIL')) await cutTail(mend);
  if (hasCode(mend, 'TRUNC')) await mendCutMetadata(mend, header);
  const codes = ['GD-RANGE', 'GT-OVERLAP', 'RGD-DIFF', 'GTE-RANGE', 'TRUNC', 'GRAIN-OVERLAP'];
  const before = header.gdOffset;
  if (hasCode(mend, ...codes)) {
    const directories = await mendDirectories(mend, header);
    if (directories !== undefined) await new EntryMend(mend, header, directories).run();
  }
  if (hasCode(mend, 'SLACK') && before !== undefined) await clearSlack(mend, header);
}

/** Version 2 with the flag is what says that entries of 1 are zeros; they stay as they are. */
async function declareZeros({ file }: ExtentMend): Promise<void> {
  await changeHeader(file, SparseExtentHeader, ({ flags, version }) => ({
    flags: (flags | SPARSE_FLAGS.zeroedGrains) >>> 0,
    version: Math.max(2, version),
  }));
}

/** What lies behind the last grain and is shorter than one. */
async function cutTail({ file, findings }: ExtentMend): Promise<void> {
  const end = findings.find(({ code }) => code === 'TAIL')?.offset;
  if (end !== undefined && end < (await file.size())) await file.resize(end);
}

/** Entries behind the last grain of the last table, in both copies. */
async function clearSlack({ file }: ExtentMend, header: SparseHeader): Promise<void> {
  const shape = shapeOf(header);
  const last = shape.tables - 1;
  const used = Math.ceil(header.capacity / header.grainSize) - last * header.numGTEsPerGT;
  for (const offset of [header.gdOffset, header.rgdOffset]) {
    if (offset === undefined) continue;
    const place = (await readEntries(file, offset, shape.tables))?.[last] ?? 0;
    if (place <= ZERO_GRAIN) continue;
    const entries = await readEntries(file, place, header.numGTEsPerGT);
    if (entries !== undefined) await writeEntries(file, place, entries.fill(0, used));
  }
}

interface Difference {
  readonly grain: number;
  readonly entry: number;
  readonly copy: number;
}

class EntryMend {
  readonly #mend: ExtentMend;
  readonly #header: SparseHeader;
  readonly #directories: Directories;
  readonly #claims: Claims;
  readonly #grains: number;
  readonly #differences: Difference[] = [];
  #fileSectors = 0;

  constructor(mend: ExtentMend, header: SparseHeader, directories: Directories) {
    this.#mend = mend;
    this.#header = header;
    this.#directories = directories;
    this.#claims = new Claims(header.grainSize);
    this.#grains = Math.ceil(header.capacity / header.grainSize);
  }

  async run(): Promise<void> {
    this.#fileSectors = Math.floor((await this.#mend.file.size()) / SECTOR_BYTES);
    // Cut off before the first grain: an entry that leads behind the end was right.
    if (this.#fileSectors < this.#header.overHead) return;
    await this.#eachEntry((grain, entry, copy) => {
      if (entry === copy || this.#differences.length >= MOST_DIFFERENCES) return;
      this.#differences.push({ grain, entry, copy });
      for (const place of [entry, copy])
        if (place > ZERO_GRAIN && this.#isPossible(grain, place)) this.#claims.ask(place, grain);
    });
    if (this.#differences.length === 0) return;
    this.#claims.settle();
    await this.#eachEntry((grain, entry, copy) => {
      if (entry === copy && entry > ZERO_GRAIN && this.#isPossible(grain, entry))
        this.#claims.take(entry, this.#header.grainSize, grain);
    });
    this.#takeStructures();
    await this.#write(this.#differences.flatMap((one) => this.#judge(one)));
  }

  /** Entries of tables that both copies have, of grains that the guest sees. */
  async #eachEntry(visit: (grain: number, entry: number, copy: number) => void): Promise<void> {
    const { primary, copy } = this.#directories;
    const perTable = this.#header.numGTEsPerGT;
    for (let table = 0; table < primary.entries.length; table++) {
      throwIfAborted(this.#mend.task);
      const [place, copyPlace] = [primary.entries[table]!, copy.entries[table]!];
      if (place <= ZERO_GRAIN || copyPlace <= ZERO_GRAIN || place === copyPlace) continue;
      const entries = await readEntries(this.#mend.file, place, perTable);
      const copies = await readEntries(this.#mend.file, copyPlace, perTable);
      if (entries === undefined || copies === undefined) continue;
      const first = table * perTable;
      const used = Math.min(perTable, this.#grains - first);
      for (let at = 0; at < used; at++)
        if (entries[at] !== 0 || copies[at] !== 0) visit(first + at, entries[at]!, copies[at]!);
    }
  }

  /** Whether an entry could stand in a table: nothing, zeros, or a place for a grain. */
  #isPossible(grain: number, entry: number): boolean {
    const { grainSize, overHead, capacity } = this.#header;
    const needed = Math.min(grainSize, capacity - grain * grainSize);
    return entry <= ZERO_GRAIN || (entry >= overHead && entry + needed <= this.#fileSectors);
  }

  #takeStructures(): void {
    const shape = shapeOf(this.#header);
    this.#claims.take(0, this.#header.overHead);
    for (const { offset, entries } of [this.#directories.primary, this.#directories.copy]) {
      this.#claims.take(offset, shape.directorySectors);
      for (const entry of entries) if (entry > ZERO_GRAIN) this.#claims.take(entry, shape.tableSectors);
    }
  }

  /** What both copies are to say; nothing when it cannot be told. */
  #judge({ grain, entry, copy }: Difference): { grain: number; entry: number }[] {
    const unclean = this.#header.uncleanShutdown;
    const possible = this.#isPossible(grain, entry);
    if (!this.#isPossible(grain, copy)) return possible ? [{ grain, entry }] : [];
    const copyFree = copy > ZERO_GRAIN && !this.#claims.isTaken(copy, grain);
    if (!possible) {
      // After a crash the copy may lag: that it has nothing proves nothing.
      const takeCopy = copy > ZERO_GRAIN ? copyFree : !unclean;
      return takeCopy ? [{ grain, entry: copy }] : [];
    }
    const entryTaken = entry > ZERO_GRAIN && this.#claims.isTaken(entry, grain);
    const takeCopy = entry === 0 ? copyFree : entryTaken && (copy > ZERO_GRAIN ? copyFree : !unclean);
    if (takeCopy) this.#mend.noteContent();
    return [{ grain, entry: takeCopy ? copy : entry }];
  }

  async #write(verdicts: readonly { grain: number; entry: number }[]): Promise<void> {
    const { primary, copy } = this.#directories;
    const perTable = this.#header.numGTEsPerGT;
    for (const directory of [primary, copy]) await this.#writeInto(directory, verdicts, perTable);
  }

  async #writeInto(
    { entries: places }: Directory,
    verdicts: readonly { grain: number; entry: number }[],
    perTable: number,
  ): Promise<void> {
    const { file } = this.#mend;
    for (let at = 0; at < verdicts.length;) {
      const table = Math.floor(verdicts[at]!.grain / perTable);
      const entries = await readEntries(file, places[table]!, perTable);
      for (; at < verdicts.length && Math.floor(verdicts[at]!.grain / perTable) === table; at++)
        if (entries !== undefined) entries[verdicts[at]!.grain % perTable] = verdicts[at]!.entry;
      if (entries !== undefined) await writeEntries(file, places[table]!, entries);
    }
  }
}

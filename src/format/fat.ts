// Entries of FAT folders and tables. Names after Microsoft's FAT specification (fatgen103, 2000).
import { defineStruct } from './struct.ts';

export const FatDirectoryEntry = defineStruct('FatDirectoryEntry', 32, [
  ['DIR_Name', 11],
  ['DIR_Attr', 'u8'],
  ['DIR_NTRes', 'u8'],
  ['DIR_CrtTimeTenth', 'u8'],
  ['DIR_CrtTime', 'u16'],
  ['DIR_CrtDate', 'u16'],
  ['DIR_LstAccDate', 'u16'],
  ['DIR_FstClusHI', 'u16'],
  ['DIR_WrtTime', 'u16'],
  ['DIR_WrtDate', 'u16'],
  ['DIR_FstClusLO', 'u16'],
  ['DIR_FileSize', 'u32'],
]);

const LongNameEntry = defineStruct('FatLongNameEntry', 32, [
  ['LDIR_Ord', 'u8'],
  ['LDIR_Name1', 10],
  ['LDIR_Attr', 'u8'],
  ['LDIR_Type', 'u8'],
  ['LDIR_Chksum', 'u8'],
  ['LDIR_Name2', 12],
  ['LDIR_FstClusLO', 'u16'],
  ['LDIR_Name3', 4],
]);

const Entry16 = defineStruct('FAT entry', 2, [['value', 'u16']]);
const Entry32 = defineStruct('FAT entry', 4, [['value', 'u32']]);

const ATTR = { volumeId: 0x08, directory: 0x10, longName: 0x0f } as const;
const DELETED = 0xe5;
const LAST_LONG = 0x40;
const LOWER_BASE = 0x08;
const LOWER_EXTENSION = 0x10;

export type FatBits = 12 | 16 | 32;

/** Entry `index` of a piece of a table that begins with an even entry. */
export function fatEntryAt(piece: Uint8Array, index: number, bits: FatBits): number {
  if (bits === 32) return (Entry32.decode(piece, index * 4).value & 0x0fffffff) >>> 0;
  if (bits === 16) return Entry16.decode(piece, index * 2).value;
  const pair = Entry16.decode(piece, Math.floor(index * 1.5)).value;
  return index % 2 === 0 ? pair & 0xfff : pair >>> 4;
}

export interface FatEntry {
  /** Which 32 bytes of the folder it is. */
  readonly slot: number;
  readonly name: string;
  readonly folder: boolean;
  readonly cluster: number;
  readonly size: number;
  /** Milliseconds, of a clock whose zone is not told; undefined where nothing is. */
  readonly modified: number | undefined;
  readonly accessed: number | undefined;
  readonly created: number | undefined;
  readonly attributes: number;
}

/** Keeps a long name while its parts go by, across the clusters of a folder. */
export class FatEntryReader {
  #parts: string[] = [];
  #sum = -1;
  #next = 0;
  /** An entry that ends the folder was met. */
  ended = false;
  label: string | undefined;

  /** The files and folders in `piece`, whose first entry has number `firstSlot`; `.` and `..` are left out. */
  read(piece: Uint8Array, firstSlot: number): FatEntry[] {
    const found: FatEntry[] = [];
    for (let at = 0; at + 32 <= piece.length && !this.ended; at += 32) {
      const first = piece[at]!;
      if (first === 0) this.ended = true;
      else if (first === DELETED) this.#forget();
      else if ((piece[at + 11]! & 0x3f) === ATTR.longName) this.#addPart(piece, at);
      else {
        const entry = this.#entry(piece, at, firstSlot + at / 32);
        if (entry !== undefined) found.push(entry);
      }
    }
    return found;
  }

  #entry(piece: Uint8Array, at: number, slot: number): FatEntry | undefined {
    const raw = FatDirectoryEntry.decode(piece, at);
    const long = this.#next === 0 && this.#sum === shortNameSum(raw.DIR_Name) ? this.#parts.join('') : '';
    this.#forget();
    if ((raw.DIR_Attr & ATTR.volumeId) !== 0) {
      this.label ??= codePageText(raw.DIR_Name).trimEnd();
      return undefined;
    }
    if (raw.DIR_Name[0] === 0x2e) return undefined;
    return {
      slot,
      name: long.replace(/[\0\uffff].*$/s, '') || shortName(raw.DIR_Name, raw.DIR_NTRes),
      folder: (raw.DIR_Attr & ATTR.directory) !== 0,
      cluster: raw.DIR_FstClusHI * 65_536 + raw.DIR_FstClusLO,
      size: raw.DIR_FileSize,
      modified: fatTime(raw.DIR_WrtDate, raw.DIR_WrtTime, 0),
      accessed: fatTime(raw.DIR_LstAccDate, 0, 0),
      created: fatTime(raw.DIR_CrtDate, raw.DIR_CrtTime, raw.DIR_CrtTimeTenth),
      attributes: raw.DIR_Attr,
    };
  }

  /** The last part comes first, and counts down to 1. */
  #addPart(piece: Uint8Array, at: number): void {
    const raw = LongNameEntry.decode(piece, at);
    const order = raw.LDIR_Ord & 0x3f;
    if ((raw.LDIR_Ord & LAST_LONG) !== 0) {
      this.#parts = [];
      this.#sum = raw.LDIR_Chksum;
      this.#next = order;
    }
    if (order === 0 || order !== this.#next || raw.LDIR_Chksum !== this.#sum) return this.#forget();
    const units = Buffer.concat([raw.LDIR_Name1, raw.LDIR_Name2, raw.LDIR_Name3]);
    this.#parts.unshift(units.toString('utf16le'));
    this.#next = order - 1;
  }

  #forget(): void {
    this.#parts = [];
    this.#sum = -1;
    this.#next = 0;
  }
}

function shortNameSum(name: Uint8Array): number {
  return name.reduce((sum, byte) => (((sum & 1) << 7) + (sum >>> 1) + byte) & 0xff, 0);
}

function shortName(name: Uint8Array, flags: number): string {
  const bytes = Uint8Array.from(name);
  // A first byte of 0xE5 would say "deleted".
  if (bytes[0] === 0x05) bytes[0] = DELETED;
  const lower = (text: string, mask: number): string => ((flags & mask) === 0 ? text : text.toLowerCase());
  const base = lower(codePageText(bytes.subarray(0, 8)).trimEnd(), LOWER_BASE);
  const extension = lower(codePageText(bytes.subarray(8)).trimEnd(), LOWER_EXTENSION);
  return extension === '' ? base : `${base}.${extension}`;
}

/**
 * Short names are in the code page of whoever wrote them, which nothing tells: 850, Western Europe's, whose letters
 * are those of 437 where that has any.
 */
const CODE_PAGE_850 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒ' +
  'áíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐' +
  '└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀' +
  'ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0';

function codePageText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte < 0x80 ? String.fromCharCode(byte) : CODE_PAGE_850[byte - 0x80]!,
  ).join('');
}

function fatTime(date: number, time: number, tenths: number): number | undefined {
  if (date === 0) return undefined;
  const [year, month, day] = [1980 + (date >>> 9), ((date >>> 5) & 15) - 1, date & 31];
  const seconds = (time & 31) * 2;
  return Date.UTC(year, month, day, time >>> 11, (time >>> 5) & 63, seconds) + tenths * 10;
}

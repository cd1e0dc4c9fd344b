// One extent line of a descriptor: `RW 4192256 SPARSE "name-s001.vmdk"`. Names may hold quotes, so the last quote that
// leaves a lawful rest closes the name; nothing here decodes: texts are one character per byte.
import { MAX_SECTORS } from '../core/units.ts';

export type ExtentAccess = 'RW' | 'RDONLY' | 'NOACCESS';

/** What an extent line says. Sizes and offsets in sectors. */
export interface ExtentFields {
  readonly access: ExtentAccess;
  readonly sectors: number;
  /** Upper case: FLAT, VMFS, ZERO, SPARSE, VMFSSPARSE, SESPARSE, VSANSPARSE, VMFSRDM, VMFSRAW, or another word. */
  readonly type: string;
  readonly fileName: string | undefined;
  /** Where the extent starts in its file; 0 when the line does not say. */
  readonly offset: number;
  readonly hasOffset: boolean;
  readonly partitionUuid?: string;
  readonly deviceId?: string;
}

export type ExtentSlip = {
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly found?: string;
  readonly expected?: string;
};

/** An extent as far as the line can be read, and what is wrong with the line. */
export interface ExtentReading {
  readonly extent: ExtentFields | undefined;
  readonly slips: readonly ExtentSlip[];
}

export const EXTENT_TYPES: ReadonlySet<string> = new Set([
  'FLAT',
  'VMFS',
  'ZERO',
  'SPARSE',
  'VMFSSPARSE',
  'SESPARSE',
  'VSANSPARSE',
  'VMFSRDM',
  'VMFSRAW',
]);

const LINE_SHAPE = 'ACCESS SECTORS TYPE "NAME" [OFFSET]';
const STARTS_WITH_ACCESS = /^(?:RW|RDONLY|NOACCESS)(?:[ \t"]|$)/i;
const LOOKS_ALIKE = /^[A-Za-z]+[ \t]+[-+]?\d+[ \t]+([A-Za-z]+)(?:[ \t"]|$)/;
const HEAD = /^([A-Za-z]+)[ \t]+([^ \t"]+)[ \t]+([^ \t"]+)[ \t]*/;
const REST = /^(?:[ \t]+(\d+)(?:[ \t]+([^ \t"]+)(?:[ \t]+([^ \t"]+))?)?)?[ \t]*$/;
const COMMENTED_REST = /^(?:[ \t]+(\d+)(?:[ \t]+([^ \t"#]+)(?:[ \t]+([^ \t"#]+))?)?)?[ \t]+#/;
/** How many quotes are tried as the closing one: names with more are not met, lines of a MiB of quotes are. */
const QUOTES_TRIED = 8;

/** Whether a line is meant as an extent: a misspelt one must be reported, since skipping it would shift the disk. */
export function looksLikeExtent(line: string): boolean {
  if (STARTS_WITH_ACCESS.test(line)) return true;
  const alike = LOOKS_ALIKE.exec(line);
  return alike !== null && EXTENT_TYPES.has(alike[1]!.toUpperCase());
}

/** Reads an extent line that has no blanks around it. */
export function parseExtentLine(line: string): ExtentReading {
  const head = HEAD.exec(`${line} `);
  const access = head?.[1]!.toUpperCase();
  if (head === null || !isAccess(access)) return { extent: undefined, slips: [malformed(line)] };
  const sectors = parseSectors(head[2]!);
  if (sectors === undefined) {
    return { extent: undefined, slips: [badNumber('desc-extent-size', 'the size of an extent', head[2]!)] };
  }
  const slips: ExtentSlip[] = [];
  const rest = line.slice(Math.min(head[0].length, line.length));
  const tail = parseTail(rest, slips, line);
  const offset = tail.offset === undefined ? 0 : parseSectors(tail.offset);
  if (offset === undefined)
    slips.push(badNumber('desc-extent-offset', 'the offset of an extent', tail.offset!));
  const extent: ExtentFields = {
    access,
    sectors,
    type: head[3]!.toUpperCase(),
    fileName: tail.name,
    offset: offset ?? 0,
    hasOffset: tail.offset !== undefined,
    ...(tail.uuid === undefined ? {} : { partitionUuid: tail.uuid }),
    ...(tail.device === undefined ? {} : { deviceId: tail.device }),
  };
  return { extent, slips };
}

/** The line, without line end. An offset is written for FLAT, where it means something, and where one stood before. */
export function printExtentLine(extent: ExtentFields): string {
  const { access, sectors, type, fileName, offset, hasOffset, partitionUuid, deviceId } = extent;
  const words = [access, sectors, type];
  if (fileName !== undefined) words.push(`"${fileName}"`);
  if (hasOffset || (type === 'FLAT' && fileName !== undefined)) {
    words.push(offset);
    for (const word of [partitionUuid, deviceId]) if (word !== undefined) words.push(word);
  }
  return words.join(' ');
}

interface Tail {
  readonly name?: string;
  readonly offset?: string;
  readonly uuid?: string;
  readonly device?: string;
}

function parseTail(rest: string, slips: ExtentSlip[], line: string): Tail {
  if (!rest.startsWith('"')) {
    const bare = REST.exec(rest === '' ? '' : ` ${rest}`) ?? COMMENTED_REST.exec(` ${rest}`);
    if (bare !== null) return fieldsOf(bare);
    slips.push(malformed(line));
    return {};
  }
  const last = rest.lastIndexOf('"');
  if (last === 0) {
    slips.push(unbalanced(line));
    return { name: rest.slice(1) };
  }
  let close = last;
  for (let tried = 0; tried < QUOTES_TRIED && close > 0; tried++) {
    const after = rest.slice(close + 1);
    const fields = REST.exec(after) ?? COMMENTED_REST.exec(after);
    if (fields !== null) return { name: nameBetween(rest, close, slips), ...fieldsOf(fields) };
    close = rest.lastIndexOf('"', close - 1);
  }
  slips.push(malformed(line));
  return { name: rest.slice(1, last) };
}

function nameBetween(rest: string, close: number, slips: ExtentSlip[]): string {
  const name = rest.slice(1, close);
  if (name.length >= 2 && name.startsWith('"') && name.endsWith('"')) {
    slips.push({
      code: 'desc-doubled-quotes',
      severity: 'error',
      message: 'quotes are doubled, as spreadsheet programs do on export',
      found: rest.slice(0, close + 1),
      expected: `"${name.slice(1, -1)}"`,
    });
    return name.slice(1, -1);
  }
  if (name.includes('"')) {
    slips.push({
      code: 'desc-quote-in-name',
      severity: 'warning',
      message: 'the name of an extent holds a quote: other programs read another name',
      found: name,
    });
  }
  return name;
}

function fieldsOf(match: RegExpExecArray): Omit<Tail, 'name'> {
  const [, offset, uuid, device] = match;
  return {
    ...(offset === undefined ? {} : { offset }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(device === undefined ? {} : { device }),
  };
}

function isAccess(word: string | undefined): word is ExtentAccess {
  return word === 'RW' || word === 'RDONLY' || word === 'NOACCESS';
}

/** Decimal, at most what a byte position can address. */
function parseSectors(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MAX_SECTORS ? value : undefined;
}

function badNumber(code: string, what: string, found: string): ExtentSlip {
  return {
    code,
    severity: 'error',
    message: `${what} is not a number of sectors`,
    found,
    expected: `0 to ${MAX_SECTORS}`,
  };
}

function malformed(line: string): ExtentSlip {
  return {
    code: 'desc-extent-malformed',
    severity: 'error',
    message: 'an extent line cannot be read',
    found: line,
    expected: LINE_SHAPE,
  };
}

function unbalanced(line: string): ExtentSlip {
  return {
    code: 'desc-unbalanced-quote',
    severity: 'error',
    message: 'a quote is opened and not closed',
    found: line,
    expected: LINE_SHAPE,
  };
}

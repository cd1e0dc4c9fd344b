// The text of a new descriptor, in VMware's words and order (header, extents, disk database), UTF-8 with LF.
// Rule: what is written here parses back to the same values in every reader we know.
import { VmdkError } from '../core/errors.ts';
import { MAX_SECTORS } from '../core/units.ts';
import { isUsableCid, NO_PARENT_CID, printCid } from './content-id.ts';
import type { CreateType } from './descriptor.ts';
import { printExtentLine, type ExtentAccess, type ExtentFields } from './extent-line.ts';
import { encodeValue } from './plain-text.ts';

/** The area that writers reserve for an embedded descriptor: 20 sectors. */
export const EMBEDDED_DESCRIPTOR_BYTES = 10240;
/** QEMU looks for CID, parentCID and parentFileNameHint only in so many bytes. */
const HEADER_BYTES_SEEN = 10240;

/** An extent to be written. Sizes and offsets in sectors. */
export interface NewExtent {
  /** RW unless told. */
  readonly access?: ExtentAccess;
  readonly sectors: number;
  readonly type: string;
  readonly fileName?: string | undefined;
  /** 0 unless told; only FLAT has one. */
  readonly offset?: number;
}

export interface NewDescriptor {
  readonly cid: number;
  /** None unless told. */
  readonly parentCid?: number;
  readonly createType: CreateType;
  readonly parentFileNameHint?: string | undefined;
  readonly extents: readonly NewExtent[];
  /** Full keys (`ddb.adapterType`); written in VMware's order, which is the alphabet's. */
  readonly ddb?: readonly (readonly [key: string, value: string])[];
  /** 32 hex digits, see `longContentIdFor`. */
  readonly longContentId?: string | undefined;
}

/**
 * The bytes of a new descriptor.
 * @param limit The most bytes there is room for, e.g. `EMBEDDED_DESCRIPTOR_BYTES`.
 * @throws VmdkError `usage` for names that cannot be written, `descriptor-too-large` when the text passes `limit`.
 */
export function composeDescriptor(model: NewDescriptor, limit = Number.MAX_SAFE_INTEGER): Buffer {
  const header = Buffer.from(headerText(model));
  if (header.length > HEADER_BYTES_SEEN) throw tooLarge('header', header.length, HEADER_BYTES_SEEN);
  const extents = model.extents.map((extent) => `${printExtentLine(checkedExtent(extent))}\n`).join('');
  const text = Buffer.concat([header, Buffer.from(`# Extent description\n${extents}\n${ddbText(model)}`)]);
  if (text.length > limit) throw tooLarge('text', text.length, limit);
  return text;
}

/** An extent as it will be written. @throws VmdkError `usage` for its name, RangeError for its numbers. */
export function checkedExtent(extent: NewExtent): ExtentFields {
  const { access = 'RW', sectors, fileName, offset = 0 } = extent;
  const type = extent.type.toUpperCase();
  if (!/^[A-Z]+$/.test(type)) throw new RangeError(`not a type of extent: ${extent.type}`);
  if (!Number.isInteger(sectors) || sectors < 1 || sectors > MAX_SECTORS) {
    throw new RangeError(`not a size of an extent in sectors: ${sectors}`);
  }
  if (!Number.isInteger(offset) || offset < 0 || offset > MAX_SECTORS) {
    throw new RangeError(`not an offset in sectors: ${offset}`);
  }
  if (offset !== 0 && type !== 'FLAT') throw new RangeError(`a ${type} extent has no offset`);
  if ((fileName === undefined) !== (type === 'ZERO')) {
    throw new RangeError(type === 'ZERO' ? 'a ZERO extent has no file' : `a ${type} extent needs a file`);
  }
  if (fileName !== undefined) encodeValue(fileName, 'extent file name');
  return { access, sectors, type, fileName, offset, hasOffset: type === 'FLAT' };
}

function headerText(model: NewDescriptor): string {
  const { cid, parentCid = NO_PARENT_CID, createType, parentFileNameHint: hint } = model;
  if (!isUsableCid(cid)) throw new RangeError(`not a CID: ${cid}`);
  if (hint !== undefined && parentCid === NO_PARENT_CID) throw new RangeError('a hint needs a parentCID');
  if (hint !== undefined) encodeValue(hint, 'parentFileNameHint');
  return [
    '# Disk DescriptorFile',
    'version=1',
    'encoding="UTF-8"',
    `CID=${printCid(cid)}`,
    `parentCID=${printCid(parentCid)}`,
    'isNativeSnapshot="no"',
    `createType="${createType}"`,
    hint === undefined ? '' : `parentFileNameHint="${hint}"`,
    '',
  ].join('\n');
}

/** The two comment lines are written even without keys: libvmdk finds the section by them. */
function ddbText({ ddb = [], longContentId }: NewDescriptor): string {
  const pairs = [
    ...ddb,
    ...(longContentId === undefined ? [] : [['ddb.longContentID', longContentId] as const]),
  ];
  const seen = new Set<string>();
  for (const [key, value] of pairs) {
    if (seen.has(key.toLowerCase())) throw new RangeError(`stands twice: ${key}`);
    seen.add(checkedDdbKey(key).toLowerCase());
    encodeValue(value, key);
  }
  const sorted = pairs.toSorted(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  const lines = sorted.map(([key, value]) => `${key} = "${value}"\n`).join('');
  return `# The Disk Data Base \n#DDB\n${lines === '' ? '' : `\n${lines}`}`;
}

/** @throws RangeError unless it is a full key of the disk database. */
export function checkedDdbKey(key: string): string {
  if (!/^ddb\.[!-~]+$/i.test(key) || /[=#"|]/.test(key))
    throw new RangeError(`not a key of the disk database: ${key}`);
  return key;
}

function tooLarge(what: string, found: number, limit: number): VmdkError {
  return new VmdkError('usage', 'descriptor-too-large', `the ${what} of the new descriptor is too long`, {
    found: `${found} bytes`,
    expected: `at most ${limit}`,
    hint: 'Use fewer extents or shorter names.',
  });
}

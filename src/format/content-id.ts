// The content id (CID) of a disk: 32 bits that change the first time its content changes after an open.
// Rule: ffffffff means "no parent" and is never a CID; fffffffe means "never written" and is never rolled.

/** The parentCID of a disk without a parent. */
export const NO_PARENT_CID = 0xffffffff;
/** The CID that VMware gives a disk nobody has written to yet; lawful, also in a child's parentCID. */
export const UNWRITTEN_CID = 0xfffffffe;

/** Source of random bytes, so that tests and seeded fixtures can bring their own. */
export type RandomBytes = (count: number) => Uint8Array;

/** Reads 1 to 8 hex digits of either case (QEMU leaves leading zeros out); undefined for anything else. */
export function parseCid(text: string): number | undefined {
  return /^[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : undefined;
}

/** Lower-case hex, at least `width` digits; 8 is what VMware writes. */
export function printCid(cid: number, width = 8): string {
  if (!Number.isInteger(cid) || cid < 0 || cid > 0xffffffff) throw new RangeError(`not a CID: ${cid}`);
  return cid.toString(16).padStart(width, '0');
}

/** Whether a disk may carry this as its own CID. */
export function isUsableCid(cid: number): boolean {
  return Number.isInteger(cid) && cid >= 0 && cid < NO_PARENT_CID;
}

/**
 * A random CID of at most `width` (1 to 8) hex digits: never ffffffff or fffffffe, and never 0, which a writer that
 * knows no CIDs leaves behind.
 */
export function newCid(randomBytes: RandomBytes, width = 8): number {
  if (!Number.isInteger(width) || width < 1 || width > 8)
    throw new RangeError(`not a width of a CID: ${width}`);
  for (;;) {
    const cid = Number.parseInt(hexOf(randomBytes(4)).slice(0, width), 16);
    if (cid !== 0 && cid < UNWRITTEN_CID) return cid;
  }
}

/** ddb.longContentID: 96 random bits, then the CID. */
export function longContentIdFor(cid: number, random12Bytes: Uint8Array): string {
  if (random12Bytes.length !== 12)
    throw new RangeError(`12 random bytes needed, not ${random12Bytes.length}`);
  return hexOf(random12Bytes) + printCid(cid);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

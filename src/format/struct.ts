// Declarative tables of on-disk structures: fields in file order, under the names their specification gives them.
// Widths must add up when the table is loaded, so a slip is found before the first byte is read.

type Width = 'u8' | 'u16' | 'u32' | 'u64';
/** `[name, width]`, or `[name, n]` for n raw bytes. All integers are little-endian. */
export type FieldSpec = readonly [name: string, width: Width | number];

type ValueOf<W> = W extends 'u64' ? bigint : W extends Width ? number : Uint8Array;
type StructValue<F extends readonly FieldSpec[]> = { [S in F[number] as S[0]]: ValueOf<S[1]> };

export interface Struct<V> {
  readonly name: string;
  readonly byteLength: number;
  /** In file order. */
  readonly fields: readonly { readonly name: string; readonly offset: number }[];
  /** Reads a value; `from` must hold `byteLength` bytes from `at`. */
  decode(from: Uint8Array, at?: number): V;
  /** A new buffer; fields that `value` leaves out are zero. */
  encode(value: Partial<V>): Buffer;
  /** Byte offset of a field within the structure, for messages and single-field writes. */
  offsetOf(field: keyof V & string): number;
}

const WIDTHS = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;

/** @throws Error at load when the widths do not add up to `byteLength`, or a name stands twice. */
export function defineStruct<const F extends readonly FieldSpec[]>(
  name: string,
  byteLength: number,
  fields: F,
): Struct<StructValue<F>> {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const [field, width] of fields) {
    if (offsets.has(field)) throw new Error(`${name}: field ${field} stands twice`);
    offsets.set(field, end);
    end += typeof width === 'number' ? width : WIDTHS[width];
  }
  if (end !== byteLength) throw new Error(`${name}: fields add up to ${end} bytes, not ${byteLength}`);
  return {
    name,
    byteLength,
    fields: fields.map(([field]) => ({ name: field, offset: offsets.get(field)! })),
    decode(from, at = 0) {
      const source = Buffer.from(from.buffer, from.byteOffset + at, byteLength);
      const value: Record<string, number | bigint | Uint8Array> = {};
      for (const [field, width] of fields) value[field] = readField(source, offsets.get(field)!, width);
      return value as StructValue<F>;
    },
    encode(value) {
      const target = Buffer.alloc(byteLength);
      for (const [field, width] of fields) {
        const content = (value as Record<string, number | bigint | Uint8Array | undefined>)[field];
        if (content !== undefined) writeField(target, offsets.get(field)!, width, content);
      }
      return target;
    },
    offsetOf(field) {
      return offsets.get(field)!;
    },
  };
}

function readField(source: Buffer, at: number, width: Width | number): number | bigint | Uint8Array {
  if (width === 'u8') return source.readUInt8(at);
  if (width === 'u16') return source.readUInt16LE(at);
  if (width === 'u32') return source.readUInt32LE(at);
  if (width === 'u64') return source.readBigUInt64LE(at);
  return Uint8Array.prototype.slice.call(source, at, at + width);
}

function writeField(
  target: Buffer,
  at: number,
  width: Width | number,
  content: number | bigint | Uint8Array,
): void {
  if (typeof content === 'bigint') target.writeBigUInt64LE(content, at);
  else if (typeof content !== 'number') target.set(content, at);
  else if (width === 'u8') target.writeUInt8(content, at);
  else if (width === 'u16') target.writeUInt16LE(content, at);
  else target.writeUInt32LE(content, at);
}

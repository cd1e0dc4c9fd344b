// Bytes as `hexdump -C` prints them, byte for byte: offset, sixteen bytes, the letters; equal lines become a star. Zeros
// are taken by the number, so that a hole of terabytes costs a line.
const LINE = 16;
const ZERO_LINE = Buffer.alloc(LINE);

export class HexDump {
  #offset: number;
  #carry: Buffer = Buffer.alloc(0);
  #last: Buffer | undefined;
  #starred = false;
  #any = false;

  /** `offset` is what the first byte is called. */
  constructor(offset = 0) {
    this.#offset = offset;
  }

  /** The lines that these bytes complete. */
  add(data: Uint8Array): string {
    if (data.length === 0) return '';
    this.#any = true;
    const bytes = this.#carry.length === 0 ? Buffer.from(data) : Buffer.concat([this.#carry, data]);
    const whole = bytes.length - (bytes.length % LINE);
    let text = '';
    for (let at = 0; at < whole; at += LINE) text += this.#line(bytes.subarray(at, at + LINE));
    this.#carry = Buffer.from(bytes.subarray(whole));
    return text;
  }

  addZeros(count: number): string {
    const lead = Math.min(count, (LINE - this.#carry.length) % LINE);
    let text = this.add(ZERO_LINE.subarray(0, lead));
    let left = count - lead;
    if (left >= 2 * LINE) {
      text += this.add(ZERO_LINE);
      const skipped = left - LINE - (left % LINE);
      if (!this.#starred) text += '*\n';
      this.#starred = true;
      this.#offset += skipped;
      left -= LINE + skipped;
    }
    for (; left >= LINE; left -= LINE) text += this.add(ZERO_LINE);
    return text + this.add(ZERO_LINE.subarray(0, left));
  }

  /** What is left, and the offset after the last byte. */
  end(): string {
    if (!this.#any) return '';
    const rest = this.#carry;
    const text = rest.length === 0 ? '' : lineText(this.#offset, rest);
    return `${text}${hex(this.#offset + rest.length, 8)}\n`;
  }

  #line(bytes: Buffer): string {
    const offset = this.#offset;
    this.#offset += LINE;
    if (this.#last?.equals(bytes) === true) {
      const text = this.#starred ? '' : '*\n';
      this.#starred = true;
      return text;
    }
    this.#last = Buffer.from(bytes);
    this.#starred = false;
    return lineText(offset, bytes);
  }
}

function lineText(offset: number, bytes: Uint8Array): string {
  let [numbers, letters] = ['', ''];
  for (const [index, byte] of bytes.entries()) {
    numbers += `${index === 8 ? '  ' : ' '}${hex(byte, 2)}`;
    letters += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  }
  return `${hex(offset, 8)} ${numbers.padEnd(49)}  |${letters}|\n`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

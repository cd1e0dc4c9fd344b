// A descriptor back to bytes. Rule: one that nobody edited prints byte for byte as it was read, padding included.
import { VmdkError } from '../core/errors.ts';
import type { Descriptor } from './descriptor.ts';

/** The whole text with whatever stood after its first NUL: a stand-alone file, as it was. */
export function printDescriptor(descriptor: Descriptor): Buffer {
  return Buffer.concat([...descriptor.lines.map(({ raw }) => raw), descriptor.tail]);
}

/**
 * The text as it fills an embedded area of `areaBytes`: NUL-padded, or with its old tail when that fits exactly.
 * @throws VmdkError `refused` `descriptor-does-not-fit` rather than run into the tables behind the area.
 */
export function printEmbeddedDescriptor(descriptor: Descriptor, areaBytes: number): Buffer {
  const whole = printDescriptor(descriptor);
  if (whole.length === areaBytes) return whole;
  const textBytes = whole.length - descriptor.tail.length;
  if (textBytes > areaBytes) {
    throw new VmdkError(
      'refused',
      'descriptor-does-not-fit',
      'the descriptor outgrows its place in the file',
      {
        path: descriptor.path,
        found: `${textBytes} bytes`,
        expected: `at most ${areaBytes}`,
      },
    );
  }
  const area = Buffer.alloc(areaBytes);
  whole.copy(area, 0, 0, textBytes);
  return area;
}

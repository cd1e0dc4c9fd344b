// Whether two chains read the same, and if not, where first and how much. What is past the end of the smaller one must
// be zeros in the larger.
import type { Chain } from '../chain/chain.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { differences, type DifferenceOptions } from './differences.ts';

export interface CompareOptions extends DifferenceOptions {
  /** Disks of different sizes differ, whatever they hold. Default false. */
  strict?: boolean | undefined;
  /** Stop at the first difference: the counts are then of what was met so far. */
  first?: boolean | undefined;
}

export interface Comparison {
  readonly equal: boolean;
  /** Bytes. */
  readonly sizes: readonly [a: number, b: number];
  /** The first byte that differs. */
  readonly firstDifference: number | undefined;
  /** Bytes that differ, and sectors that hold one of them. */
  readonly differingBytes: number;
  readonly differingSectors: number;
  /** Bytes of each disk that had to be read; metadata showed the rest to be equal. */
  readonly compared: number;
  /** False when it was stopped at the first difference. */
  readonly complete: boolean;
}

/** @throws what reading finds: damage is never taken for a difference, nor for equality. */
export async function compareChains(a: Chain, b: Chain, options: CompareOptions = {}): Promise<Comparison> {
  const sizes = [a.capacity * SECTOR_BYTES, b.capacity * SECTOR_BYTES] as const;
  const comparing = { compared: 0 };
  let firstDifference: number | undefined;
  let [differingBytes, differingSectors] = [0, 0];
  let complete = true;
  for await (const { first, bytes, count } of differences(a, b, options, comparing)) {
    firstDifference ??= first;
    differingBytes += bytes;
    differingSectors += count;
    complete = options.first !== true;
    if (!complete) break;
  }
  const equal = differingSectors === 0 && (options.strict !== true || sizes[0] === sizes[1]);
  return {
    equal,
    sizes,
    firstDifference,
    differingBytes,
    differingSectors,
    compared: comparing.compared,
    complete,
  };
}

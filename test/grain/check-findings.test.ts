// What is said of places that cannot be.
import { describe, expect, it } from 'vitest';
import { misplaced } from '../../src/grain/check-findings.ts';

describe('a place that cannot be', () => {
  it('is told with the places that could', () => {
    expect(misplaced('grain 3', 9000, 128, 4000)).toBe(
      'grain 3 cannot be at sector 9000: expected 128 to 4000 (end of file)',
    );
  });

  it('is told with the end of the file where that comes before any', () => {
    expect(misplaced('grain 3', 9000, 128, 55)).toBe(
      'grain 3 cannot be at sector 9000: the file ends at sector 55, before the first that it could be at, 128',
    );
  });
});

// Names of snapshot deltas: the lowest number that nothing has taken.
import { describe, expect, it } from 'vitest';
import { deltaStem, isNumberedName, nextDeltaName } from '../../src/machine/delta-names.ts';

describe('names of deltas', () => {
  it('take the lowest free number, gaps first', () => {
    expect(nextDeltaName('web', [])).toBe('web-000001.vmdk');
    expect(nextDeltaName('web', ['web.vmdk', 'web-flat.vmdk', 'web-000001.vmdk'])).toBe('web-000002.vmdk');
    expect(nextDeltaName('web', ['web-000001.vmdk', 'web-000003.vmdk'])).toBe('web-000002.vmdk');
  });

  it('count a number as taken by whatever carries it, in any case', () => {
    const taken = [
      'WEB-000001-s001.vmdk',
      'web-000002-delta.vmdk',
      'web-000003.vmdk.lck',
      'web-000004-ctk.vmdk',
    ];
    expect(nextDeltaName('web', taken)).toBe('web-000005.vmdk');
  });

  it('are not confused by disks of longer names', () => {
    expect(nextDeltaName('web', ['web-2-000001.vmdk', 'web-0000011.vmdk', 'web-000001x.vmdk'])).toBe(
      'web-000001.vmdk',
    );
  });

  it('share the name of the disk, however deep the chain', () => {
    expect(deltaStem('web-000017.vmdk', true)).toBe('web');
    expect(deltaStem('web.vmdk', true)).toBe('web');
    expect(deltaStem('lab-202401.VMDK', false)).toBe('lab-202401');
    expect(isNumberedName('web-000017.vmdk')).toBe(true);
    expect(isNumberedName('web-17.vmdk')).toBe(false);
  });
});

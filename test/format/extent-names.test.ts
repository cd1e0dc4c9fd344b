import { describe, expect, it } from 'vitest';
import {
  extentBaseName,
  extentSpellings,
  meansFileCalled,
  unescapeBars,
} from '../../src/format/extent-names.ts';

describe('the file name of an extent line', () => {
  it('is tried as written first, then with slashes, then without escapes', () => {
    expect(extentSpellings('x.vmdk')).toEqual(['x.vmdk']);
    expect(extentSpellings(String.raw`.\x|20y.vmdk`)).toEqual([
      String.raw`.\x|20y.vmdk`,
      './x|20y.vmdk',
      String.raw`.\x y.vmdk`,
    ]);
  });

  it.each(['x.vmdk', './x.vmdk', String.raw`.\x.vmdk`, String.raw`sub\x.vmdk`, '/ds/x.vmdk', '|78.vmdk'])(
    'means x.vmdk when it is %s',
    (name) => expect(meansFileCalled(name, 'x.vmdk')).toBe(true),
  );

  it.each([undefined, '', 'X.vmdk', 'ax.vmdk', String.raw`x.vmdk\y`])('does not when it is %s', (name) =>
    expect(meansFileCalled(name, 'x.vmdk')).toBe(false),
  );

  it('ends in what stands behind the last slash of either kind', () => {
    expect(['x', 'a/x', String.raw`a\x`, String.raw`a\b/x`].map(extentBaseName)).toEqual([
      'x',
      'x',
      'x',
      'x',
    ]);
  });

  it('may have |HH for a character, other bars are bars', () => {
    expect(unescapeBars('a|22b|7C|7c|0A|zz|1')).toBe('a"b||\n|zz|1');
  });
});

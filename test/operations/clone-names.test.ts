// Names of clones: what a template gives, and what no clone may be called.
import { describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { expandNames, MOST_CLONES, type NameRequest } from '../../src/operations/clone-names.ts';

const namesOf = (request: NameRequest, base = 'golden'): string[] =>
  expandNames(request, base).map(({ name }) => name);

function refusal(request: NameRequest, base?: string): string {
  try {
    expandNames(request, base ?? 'golden');
  } catch (error) {
    if (isVmdkError(error) && error.kind === 'usage') return `${error.code}: ${error.message}`;
    throw error;
  }
  return expect.fail('the names were accepted');
}

describe('a template', () => {
  it('gives the base and a number of one width when nothing is told', () => {
    expect(namesOf({})).toEqual(['golden-clone-01']);
    expect(namesOf({ count: 3 })).toEqual(['golden-clone-01', 'golden-clone-02', 'golden-clone-03']);
    const many = namesOf({ count: 1000 });
    expect([many[0], many[999]]).toEqual(['golden-clone-0001', 'golden-clone-1000']);
    expect(many.toSorted()).toEqual(many);
    expect(namesOf({ start: 98, count: 3 })).toEqual([
      'golden-clone-098',
      'golden-clone-099',
      'golden-clone-100',
    ]);
  });

  it('counts from the start number, with as many digits as it says', () => {
    expect(namesOf({ template: 'web-{n}', count: 3, start: 9 })).toEqual(['web-9', 'web-10', 'web-11']);
    expect(namesOf({ template: 'web-{n:02}', count: 2, start: 9 })).toEqual(['web-09', 'web-10']);
    expect(namesOf({ template: '{n:3} of {base}', count: 1, start: 0 })).toEqual(['000 of golden']);
    expect(namesOf({ template: '{{{n}}} {base}{base}', count: 1 })).toEqual(['{1} goldengolden']);
    expect(namesOf({ template: 'just-one' })).toEqual(['just-one']);
  });

  it('is refused when it would give one name twice, or holds what stands for nothing', () => {
    expect(refusal({ template: 'web', count: 2 })).toMatch(/same name[^]*Put \{n\}/);
    for (const template of ['{i}', '{n:}', '{n:002}', '{n:a}', '{', 'a}', '{ n }', '{n', '{base:2}']) {
      expect(refusal({ template, count: 1 }), template).toMatch(/stands for nothing/);
    }
  });

  it('with a range counts by itself', () => {
    expect(namesOf({ template: 'lab-{08..10}' })).toEqual(['lab-08', 'lab-09', 'lab-10']);
    expect(namesOf({ template: '{base}-{9..10}' })).toEqual(['golden-9', 'golden-10']);
    expect(namesOf({ template: 'one-{7..7}' })).toEqual(['one-7']);
    expect(refusal({ template: 'lab-{2..1}' })).toMatch(/ends before it begins/);
    expect(refusal({ template: 'lab-{1..2}', count: 2 })).toMatch(/counts by itself/);
    expect(refusal({ template: 'lab-{1..2}-{3..4}' })).toMatch(/stands for nothing/);
    expect(refusal({ template: 'lab-{1..200000}' })).toMatch(/count of clones/);
  });

  it('is refused with counts and numbers out of range', () => {
    for (const count of [0, -1, 1.5, Number.NaN, MOST_CLONES + 1]) {
      expect(refusal({ count }), String(count)).toMatch(/count of clones/);
    }
    for (const start of [-1, 0.5, 1e9]) expect(refusal({ start }), String(start)).toMatch(/numbered from/);
  });
});

describe('a list', () => {
  it('takes names and objects, and hands back what else these hold', () => {
    const lab = { name: 'lab-2', owner: 'ann' };
    expect(expandNames({ names: ['lab-1', lab, { name: 'Ünïcode 3' }] }, 'x')).toEqual([
      { name: 'lab-1' },
      lab,
      { name: 'Ünïcode 3' },
    ]);
  });

  it('is refused when it is empty, of something else, or beside a count', () => {
    expect(refusal({ names: [] })).toMatch(/empty/);
    expect(refusal({ names: [7 as unknown as string] })).toMatch(/entry 1 .* neither a name nor an object/);
    expect(refusal({ names: ['a', { label: 'b' } as unknown as string] })).toMatch(/entry 2/);
    expect(refusal({ names: [null as unknown as string] })).toMatch(/entry 1/);
    expect(refusal({ names: ['a'], count: 2 })).toMatch(/either a list/);
    expect(refusal({ names: ['a'], template: 'x' })).toMatch(/either a list/);
  });

  it('is refused when two names are one, on any file system', () => {
    expect(refusal({ names: ['a', 'b', 'a'] })).toMatch(/^duplicate-name: .*"a".*entries 1 and 3/);
    expect(refusal({ names: ['Web', 'web'] })).toMatch(/tell case apart/);
    expect(refusal({ names: ['caf\u00e9', 'cafe\u0301'] })).toMatch(/^duplicate-name/);
  });

  it.each([
    ['', /empty/],
    ['.', /dot/],
    ['..', /two dots/],
    ['../up', /two dots/],
    ['.hidden', /dot/],
    ['a/b', /separator \//],
    ['a\\b', /separator \\/],
    ['a\0b', /a NUL/],
    ['a\nb', /U\+000A/],
    ['a\u0085b', /U\+0085/],
    ['a\u2028b', /U\+2028/],
    ['a\ud800b', /U\+D800/],
    ['a"b', /character "/],
    ['a|b', /character \|/],
    ['nbd:x', /character :/],
    ['a*', /character \*/],
    [' a', /blank/],
    ['a ', /blank/],
    ['a.', /dot at the end/],
    ['con', /device/],
    ['LPT1.old', /device/],
    ['web.vmdk', /leave \.vmdk out/],
    ['x'.repeat(242), /longer than 241 bytes/],
    ['ü'.repeat(121), /longer than 241 bytes/],
  ])('refuses %j', (name, why) => {
    expect(refusal({ names: ['fine', name] })).toMatch(/^bad-name: a clone cannot be called/);
    expect(refusal({ names: [name] })).toMatch(why);
  });

  it('takes names that only look odd', () => {
    const names = ["O'Brien", 'a..b', 'x'.repeat(241), 'console', 'α-β', '100%', 'a;b', '$HOME', '-rf'];
    expect(namesOf({ names })).toEqual(names);
  });
});

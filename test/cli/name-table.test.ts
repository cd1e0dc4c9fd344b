// Names of clones as a table on standard input.
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { decodeNames, parseNames, readNames } from '../../src/cli/name-lines.ts';

describe('a table of names', () => {
  it('has a head, and gives back every cell that is filled', () => {
    const text =
      '\ufeffName,mac,Owner\r\nweb-1,00:50:56:00:00:01,"Doe, Jane"\r\n\r\nweb-2,,"says ""hi""\nthere"\r\n';
    expect(parseNames(text)).toEqual([
      { name: 'web-1', mac: '00:50:56:00:00:01', Owner: 'Doe, Jane' },
      { name: 'web-2', Owner: 'says "hi"\nthere' },
    ]);
  });

  it.each([';', '\t'])('may be separated by %j', (mark) => {
    expect(parseNames(`mac${mark}name\nx${mark}a\n`)).toEqual([{ mac: 'x', name: 'a' }]);
  });

  it('is none when no column is called "name"', () => {
    expect(parseNames('a, b\nname\n')).toEqual(['a, b', 'name']);
  });

  it.each([
    ['name,mac\n,x\n', /line 2: the row has no name/],
    ['name,mac\na,b,c\n', /line 2: 3 cells below a head of 2/],
    ['name,mac\n\n"a,b\nc,d\n', /line 3: a quote is opened/],
    ['name,mac,mac\na\n', /two columns "mac"/],
    [`name,mac\n${'x,y\n'.repeat(100_001)}`, /more than 100000 names/],
  ])('that is wrong is refused with its line (%#)', (text, why) => {
    expect(() => parseNames(text)).toThrow(why);
  });
});

describe('the bytes of a list of names', () => {
  const { signal } = new AbortController();

  it('are UTF-8, however they are cut, or UTF-16 that says so, as older PowerShells write it', async () => {
    const text = 'größe\n💾\n';
    const single = [...Buffer.from(text)].map((byte) => Buffer.from([byte]));
    expect(await readNames(Readable.from(single), signal)).toEqual(['größe', '💾']);
    expect(parseNames(decodeNames(Buffer.from(`\ufeff${text}`)))).toEqual(['größe', '💾']);
    expect(parseNames(decodeNames(Buffer.from(`\ufeff${text}`, 'utf16le')))).toEqual(['größe', '💾']);
  });

  it('that are neither are refused with their line: no disk gets another name than the list has', async () => {
    for (const [bytes, why] of [
      [Buffer.from('a\nb\ncaf\xe9\n', 'latin1'), 'stdin, line 3: the names are not UTF-8'],
      [Buffer.from('\xff\xfea', 'latin1'), 'stdin: the names are not UTF-8'],
    ] as const)
      await expect(readNames(Readable.from([bytes]), signal)).rejects.toMatchObject({
        kind: 'usage',
        message: expect.stringContaining(why) as string,
      });
  });
});

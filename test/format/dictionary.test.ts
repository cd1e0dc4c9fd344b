// .vmx and .vmsd as dictionaries: what is read, what is kept, what is odd; and that edits touch what they name alone.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDictionary, printDictionary, type Dictionary } from '../../src/format/dictionary.ts';
import {
  composeDictionary,
  editDictionary,
  reencodeDictionary,
  renameKeys,
} from '../../src/format/edit-dictionary.ts';

describe('reading a dictionary', () => {
  it('takes quoted and bare values, comments, odd blanks and any line end', () => {
    const text =
      '#!/usr/bin/vmware\r\n a = "1"\nb=2 # two\r\n\tC\t=\t" x # y " # z\n\n.encoding = "UTF-8"\nlast = ""';
    const dictionary = parsed(text);
    expect(dictionary.entries).toEqual([
      { key: 'a', name: 'a', value: '1', line: 2 },
      { key: 'b', name: 'b', value: '2', line: 3 },
      { key: 'c', name: 'C', value: ' x # y ', line: 4 },
      { key: '.encoding', name: '.encoding', value: 'UTF-8', line: 6 },
      { key: 'last', name: 'last', value: '', line: 7 },
    ]);
    expect(dictionary.problems).toEqual([]);
    expect(printed(dictionary)).toBe(text);
    expect([dictionary.get('B'), dictionary.get('c'), dictionary.get('none')]).toEqual([
      '2',
      ' x # y ',
      undefined,
    ]);
  });

  it('undoes |HH, and keeps a bar that is none', () => {
    expect(parsed('a = "say |22hi|22|0Aand |7c, |zz, |"').get('a')).toBe('say "hi"\nand |, |zz, |');
  });

  it('takes the last of two lines with one name, and says so', () => {
    const dictionary = parsed('memsize = "1"\nother = "x"\nMemSize = "2"\n');
    expect(dictionary.get('memsize')).toBe('2');
    expect(dictionary.problems).toMatchObject([{ code: 'dict-duplicate', line: 3, severity: 'warning' }]);
    expect(dictionary.problems[0]!.message).toContain('already on line 1');
  });

  it.each([
    ['windows-1252', [0xe9, 0x80], 'é€'],
    ['windows-1251', [0xcf], 'П'],
    ['Shift_JIS', [0x83, 0x5c, 0x95, 0x5c], 'ソ表'],
    ['windows-949-2000', [0x81, 0x41, 0xb0, 0xa1], '갂가'],
    ['CP949', [0x81, 0x41], '갂'],
    ['GBK', [0xd6, 0xd0, 0xc4, 0x5c], '中腬'],
    ['windows-936-2000', [0xd6, 0xd0], '中'],
    ['UTF-8', [0xe4, 0xb8, 0xad], '中'],
  ])('reads %s and writes it back', (encoding, raw, text) => {
    const bytes = Buffer.concat([
      Buffer.from(`.encoding = "${encoding}"\ndisplayName = "`),
      Buffer.from(raw),
      Buffer.from('"\n'),
    ]);
    const dictionary = parseDictionary(bytes, 'x.vmx');
    expect(dictionary.get('displayName')).toBe(text);
    expect(dictionary.problems).toEqual([]);
    const edited = editDictionary(dictionary, { displayName: `${text}${text}`, annotation: text });
    expect([edited.get('displayname'), edited.get('annotation')]).toEqual([`${text}${text}`, text]);
    expect(
      printDictionary(editDictionary(edited, { displayName: text, annotation: null })).equals(bytes),
    ).toBe(true);
    const utf8 = reencodeDictionary(edited);
    expect(utf8).toMatchObject({ encoding: 'utf-8', problems: [] });
    expect([utf8.get('displayname'), utf8.get('annotation')]).toEqual([`${text}${text}`, text]);
  });

  it('knows a bar that is half a character, and writes it as VMware does', () => {
    const start = Buffer.from('.encoding = "GBK"\na = "');
    const bytes = Buffer.concat([start, Buffer.from([0xc4, 0x7c]), Buffer.from('"\nb = "c"\n')]);
    const dictionary = parseDictionary(bytes, 'x.vmx');
    expect(dictionary.get('a')).toBe('膢');
    expect(printDictionary(editDictionary(dictionary, { a: '膢' })).equals(bytes)).toBe(true);
    const edited = editDictionary(dictionary, { b: '膢' });
    expect(printed(edited)).toContain('|7C"');
    expect(edited.get('b')).toBe('膢');
  });

  it('takes a byte order mark for UTF-8, whatever is declared, and keeps it', () => {
    const bytes = Buffer.from('\ufeff.encoding = "windows-1252"\ndisplayName = "é"\n');
    const dictionary = parseDictionary(bytes, 'x.vmx');
    expect(dictionary).toMatchObject({ encoding: 'utf-8', problems: [{ code: 'dict-encoding-bom' }] });
    expect(dictionary.get('displayName')).toBe('é');
    expect(printDictionary(dictionary).equals(bytes)).toBe(true);
  });

  it.each([
    ['an encoding nobody knows', '.encoding = "klingon-8"\na = "é"\n', 'utf-8', 'dict-encoding-unknown'],
    [
      'UTF-8 that is not',
      Buffer.from('.encoding = "UTF-8"\na = "\xe9"\n', 'latin1'),
      'windows-1252',
      'dict-encoding-lie',
    ],
    ['no word and no UTF-8', Buffer.from('a = "\xe9"\n', 'latin1'), 'windows-1252', 'dict-encoding-lie'],
    ['Shift_JIS that is UTF-8', '.encoding = "Shift_JIS"\na = "à"\n', 'utf-8', 'dict-encoding-lie'],
    ['a quote that is not closed', 'a = "b\n', 'utf-8', 'dict-unbalanced-quote'],
    ['doubled quotes', 'a = ""b""\n', 'utf-8', 'dict-doubled-quotes'],
    ['a line of prose', 'a = "b"\nTHIS IS NEW INFORMATION.\n', 'utf-8', 'dict-odd-line'],
    ['a lone carriage return', 'a = "b"\rc = "d"\n', 'utf-8', 'dict-lone-cr'],
  ])('gets past %s, and says so', (_, text, encoding, code) => {
    const bytes = Buffer.from(text as string);
    const dictionary = parseDictionary(bytes, 'x.vmx');
    expect(dictionary.encoding).toBe(encoding);
    expect(dictionary.problems.map((problem) => problem.code)).toEqual([code]);
    expect(printDictionary(dictionary).equals(bytes)).toBe(true);
  });

  it.each([
    ['a disk', Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(508)]), 'not-a-dictionary'],
    ['UTF-16', Buffer.from('\ufeffa = "b"\n', 'utf16le'), 'not-a-dictionary'],
    ['XML', Buffer.from('<html>\n<body>\n</html>\n'), 'not-a-dictionary'],
    ['too many lines', Buffer.from('\n'.repeat(70_000)), 'dictionary-too-large'],
    ['too many bytes', Buffer.from('a'.repeat(5 << 20)), 'dictionary-too-large'],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => parseDictionary(bytes, 'x.vmx')).toThrow(expect.objectContaining({ code, kind: 'corrupt' }));
  });
});

describe('editing a dictionary', () => {
  it('keeps spelling, blanks, comments and line ends of what it touches, and all bytes of the rest', () => {
    const text =
      '# head\r\n  MemSize=512 # small\r\nJunk line\r\nscsi0:0.fileName = "a.vmdk"\r\nide0.present = "TRUE"';
    const edited = editDictionary(parsed(text), {
      memsize: '1024',
      'scsi0:0.FILENAME': 'b c.vmdk',
      'scsi0:0.mode': 'persistent',
      uuid: 'say "x"',
    });
    expect(printed(edited)).toBe(
      '# head\r\n  MemSize=1024 # small\r\nJunk line\r\nscsi0:0.fileName = "b c.vmdk"\r\nscsi0:0.mode = "persistent"\r\nide0.present = "TRUE"\r\nuuid = "say |22x|22"\r\n',
    );
  });

  it('quotes a bare value that needs it, and rewrites a line whose quotes are a slip', () => {
    const edited = editDictionary(parsed('a = 1\nb = "x\nc = ""y""\n'), { a: 'two words', b: 'z', c: 'w' });
    expect(printed(edited)).toBe('a = "two words"\nb = "z"\nc = "w"\n');
    expect(edited.problems).toEqual([]);
  });

  it('changes and removes every line of a name that stands twice', () => {
    const twice = parsed('a = "1"\nb = "2"\nA = "3"\n');
    expect(printed(editDictionary(twice, { a: '4' }))).toBe('a = "4"\nb = "2"\nA = "4"\n');
    expect(printed(editDictionary(twice, { a: null }))).toBe('b = "2"\n');
  });

  it('refuses what the encoding lacks, saying which file and what it can write', () => {
    const latin = parsed('.encoding = "windows-1252"\ndisplayName = "x"\n');
    expect(() => editDictionary(latin, { displayName: '中' })).toThrow(
      expect.objectContaining({
        code: 'name-not-encodable',
        kind: 'usage',
        context: expect.objectContaining({
          path: 'x.vmx',
          found: '"中"',
          expected: expect.stringContaining('windows-1252'),
        }),
      }),
    );
    expect(editDictionary(reencodeDictionary(latin), { displayName: '中' }).get('displayName')).toBe('中');
  });

  it('refuses names that would break the grammar, and a change of the encoding behind its back', () => {
    for (const name of ['a b', 'a=b', '', 'a#b', 'a"b', 'a\nb']) {
      expect(() => editDictionary(parsed(''), { [name]: 'x' })).toThrow(
        expect.objectContaining({ kind: 'usage' }),
      );
    }
    expect(() => editDictionary(parsed(''), { '.Encoding': 'GBK' })).toThrow(/how all other lines are read/);
  });

  it('gives keys new names and leaves the values', () => {
    const renamed = renameKeys(parsed('s0.a = "s0.a"\ns1.a=1 # s1.a\ns2.A = "|22"\n'), (name) => {
      if (name.startsWith('s0.')) return null;
      return name.replace(/^s(\d)/, (_, digit: string) => `s${Number(digit) - 1}`);
    });
    expect(printed(renamed)).toBe('s0.a=1 # s1.a\ns1.A = "|22"\n');
  });

  it('composes a file that reads back, in the encoding and with the line ends asked for', () => {
    const composed = composeDictionary([['displayName', 'Büro | "1"']], {
      path: 'x.vmx',
      encoding: 'windows-1252',
      eol: '\r\n',
    });
    expect(printDictionary(composed).toString('latin1')).toBe(
      '.encoding = "windows-1252"\r\ndisplayName = "Büro |7C |221|22"\r\n',
    );
    expect(composed.get('displayname')).toBe('Büro | "1"');
  });

  it('reads back any value after any edits, and never touches another line', () => {
    const name = fc.constantFrom(
      'a',
      'b.c',
      'scsi0:0.fileName',
      'SCSI0:0.MODE',
      'x.y.z',
      'x.y.w',
      'displayName',
    );
    const value = fc.oneof(
      fc.string({ unit: 'binary' }).filter((text) => !/\p{Surrogate}/u.test(text)),
      fc.string(),
    );
    const line = fc.oneof(
      fc.tuple(name, value).map(
        ([key, text]) =>
          printDictionary(composeDictionary([[key, text]], { path: 'x' }))
            .toString()
            .split('\n')[1]!,
      ),
      fc.constantFrom(
        '',
        '# comment',
        'no pair',
        ' odd  =  bare # c',
        'q = "x" # "y"',
        'broken = "x',
        'MEMSIZE=5',
      ),
    );
    const file = fc.tuple(fc.array(line, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'), fc.boolean());
    const edits = fc.dictionary(name, fc.option(value), { maxKeys: 4 });
    const property = fc.property(file, edits, ([lines, eol, ended], changes) => {
      const before = parsed(lines.length === 0 ? '' : `k = "v"${eol}${lines.join(eol)}${ended ? eol : ''}`);
      const after = editDictionary(before, changes);
      const wanted = new Map(Object.entries(changes).map(([key, text]) => [key.toLowerCase(), text]));
      for (const [key, text] of wanted) expect(after.get(key)).toBe(text ?? undefined);
      expect(untouched(after, wanted)).toEqual(untouched(before, wanted));
      expect(printDictionary(editDictionary(after, changes)).equals(printDictionary(after))).toBe(true);
    });
    fc.assert(property, { seed: 20261122, numRuns: 150 });
  });
});

/** Lines that no edit names, without the line end that a last line may have been given. */
function untouched(dictionary: Dictionary, edits: ReadonlyMap<string, unknown>): string[] {
  const lines = dictionary.lines.filter(({ key }) => key === undefined || !edits.has(key));
  return lines.map(({ raw }) =>
    Buffer.from(raw)
      .toString('latin1')
      .replace(/\r?\n$/, ''),
  );
}

function parsed(text: string): Dictionary {
  return parseDictionary(Buffer.from(text), 'x.vmx');
}

function printed(dictionary: Dictionary): string {
  return printDictionary(dictionary).toString();
}

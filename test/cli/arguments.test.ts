// The parser: what nobody declared is refused with the nearest word that is known, and nothing is guessed.
import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../src/cli/arguments.ts';
import type { CommandSpec } from '../../src/cli/command-module.ts';
import { isVmdkError } from '../../src/core/errors.ts';

const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'paint',
    summary: 'paints',
    operands: [{ name: 'WALL' }, { name: 'COLOUR', optional: true }],
    options: [
      { name: 'coats', short: 'c', value: 'N', summary: 'how many' },
      { name: 'at', value: 'N', summary: 'where' },
      { name: 'tool', value: 'TOOL', choices: ['brush', 'roller'], summary: 'with what' },
      { name: 'helper', value: 'NAME', many: true, summary: 'who helps' },
      { name: 'dry', summary: 'do nothing' },
    ],
    opensDisks: true,
    load: () => Promise.reject(new Error('not run here')),
  },
  {
    name: 'mix',
    summary: 'mixes',
    operands: [{ name: 'POT', many: true }],
    load: () => Promise.reject(new Error('not run here')),
  },
];

const parse = (...argv: string[]) => parseCommandLine(argv, COMMANDS);
const refusal = (...argv: string[]): string => {
  try {
    parse(...argv);
  } catch (error) {
    if (isVmdkError(error, 'usage')) return error.message;
    throw error;
  }
  return 'nothing was refused';
};

describe('the parser', () => {
  it('takes options before and after the command, long, short, with = or a space', () => {
    const { command, args } = parse(
      '-q',
      '--output',
      'json',
      'paint',
      '--coats=3',
      'east',
      '--at',
      '1.5k',
      'red',
    );
    expect(command?.name).toBe('paint');
    expect(args.operand('WALL')).toBe('east');
    expect(args.optionalOperand('COLOUR')).toBe('red');
    expect(args.count('coats')).toBe(3);
    expect(args.bytes('at')).toBe(1536);
    expect([args.flag('quiet'), args.flag('verbose'), args.text('output')]).toEqual([true, false, 'json']);
  });

  it('takes one letter options with their value attached, and several operands', () => {
    expect(parse('paint', '-c7', 'east').args.count('coats')).toBe(7);
    expect(parse('mix', 'a', '-qv', 'b', '-').args.operands('POT')).toEqual(['a', 'b', '-']);
    expect(parse('paint', '--helper', 'ann', '--helper=bob', 'x').args.texts('helper')).toEqual([
      'ann',
      'bob',
    ]);
  });

  it('leaves quotes in a value as they are', () => {
    for (const value of ['"a b" "c"', "'x'", '"', '""', '"open', '="="']) {
      expect(parse('paint', 'w', '--helper', value).args.text('helper'), value).toBe(value);
      expect(parse('paint', 'w', `--helper=${value}`).args.text('helper'), value).toBe(value);
    }
  });

  it('takes everything after -- as operands, and a lone - as one', () => {
    expect(parse('mix', '--', '--json', '-x').args.operands('POT')).toEqual(['--json', '-x']);
    expect(parse('paint', '-').args.operand('WALL')).toBe('-');
  });

  it('takes - for a stream where one is declared, and never for a file', () => {
    const commands: readonly CommandSpec[] = [
      {
        name: 'pour',
        summary: 'pours',
        operands: [{ name: 'SRC', stream: true }, { name: 'DST' }],
        options: [
          { name: 'plan', value: 'FILE', summary: 'where the plan goes' },
          { name: 'to', value: 'FILE', stream: true, summary: 'where it goes' },
          { name: 'name', value: 'NAME', summary: 'what it is called' },
        ],
        load: () => Promise.reject(new Error('not run here')),
      },
    ];
    const { args } = parseCommandLine(
      ['pour', '-', './-', '--to', '-', '--name', '-', '--plan=./-'],
      commands,
    );
    expect([args.operand('SRC'), args.operand('DST'), args.text('to'), args.text('plan')]).toEqual([
      '-',
      './-',
      '-',
      './-',
    ]);
    for (const [what, ...argv] of [
      ['pour: DST', 'pour', 'a', '-'],
      ['--plan', 'pour', 'a', 'b', '--plan', '-'],
      ['pour: DST', 'pour', '--', '-', '-'],
    ])
      expect(() => parseCommandLine(argv, commands)).toThrow(
        `${what} must name a file: - stands for no stream here\n  A file that is called so is ./-`,
      );
  });

  it('knows no command when none is named', () => {
    expect(parse().command).toBeUndefined();
    expect(parse('--help').args.flag('help')).toBe(true);
    expect(parse('paint', '--help').command?.name).toBe('paint');
  });

  it.each([
    [['pant', 'x'], 'there is no command "pant"\n  Did you mean paint?'],
    [['xyzzy'], 'there is no command "xyzzy"\n  Commands: paint, mix.'],
    [['paint', 'x', '--caots', '3'], 'there is no option --caots of paint\n  Did you mean --coats?'],
    [['paint', 'x', '--frobnicate'], 'there is no option --frobnicate of paint\n  See vmdkit paint --help.'],
    [
      ['mix', 'x', '--accept-mismatch'],
      'there is no option --accept-mismatch of mix\n  See vmdkit mix --help.',
    ],
    [['paint'], 'paint needs WALL\n  Usage: vmdkit paint WALL [COLOUR] [options]'],
    [['mix'], 'mix needs POT\n  Usage: vmdkit mix POT… [options]'],
    [
      ['paint', 'a', 'b', 'c'],
      'paint: "c" is one word too many\n  Usage: vmdkit paint WALL [COLOUR] [options]',
    ],
    [['paint', 'x', '--coats'], '--coats needs a value: N'],
    [['paint', 'x', '--coats', '--dry'], '--coats needs a value: N'],
    [['paint', 'x', '--coats='], '--coats needs a value: N'],
    [['paint', 'x', '--dry=yes'], '--dry takes no value'],
    [['paint', 'x', '--at', '1', '--at', '2'], '--at is given twice'],
    [['paint', 'x', '--tool', 'rollr'], '--tool: "rollr" is none of brush, roller\n  Did you mean roller?'],
  ])('refuses %j', (argv, message) => expect(refusal(...argv)).toBe(message));

  it('reads numbers exactly or not at all', () => {
    const count = (text: string): unknown => parse('paint', 'x', '--coats', text).args.count('coats');
    expect(count('0')).toBe(0);
    for (const text of ['1.5', '-3', '1e2', '9007199254740993', 'ten']) {
      expect(() => count(text)).toThrow('is no whole number');
    }
    expect(() => parse('paint', 'x', '--at', '-10G').args.bytes('at')).toThrow('is negative');
  });

  it('calls it a programmer error to ask for what was not declared', () => {
    const { args } = parse('mix', 'a');
    expect(() => args.flag('dry')).toThrow(RangeError);
    expect(() => args.operand('WALL')).toThrow(RangeError);
  });
});

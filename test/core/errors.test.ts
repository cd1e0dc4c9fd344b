// The one error type: its message alone must say which file, where, what was found and what was expected.
import { describe, expect, it } from 'vitest';
import { isVmdkError, usageError, VmdkError } from '../../src/core/errors.ts';

describe('a VmdkError', () => {
  it('names file, place, found, expected and the way out, in that order', () => {
    const error = new VmdkError('corrupt', 'bad-header', 'the header is damaged', {
      path: '/disks/a.vmdk',
      field: 'grainSize',
      offset: 20,
      found: 3,
      expected: 'a power of two',
      hint: 'Fetch it again.',
    });
    expect(error.message).toBe(
      '/disks/a.vmdk: the header is damaged (grainSize, byte 20): found 3, expected a power of two\n  Fetch it again.',
    );
  });

  it('says only what it knows', () => {
    expect(new VmdkError('io', 'x', 'it failed').message).toBe('it failed');
    expect(new VmdkError('io', 'x', 'it failed', { line: 4 }).message).toBe('it failed (line 4)');
    expect(new VmdkError('io', 'x', 'it failed', { expected: 'more' }).message).toBe(
      'it failed: expected more',
    );
    expect(new VmdkError('io', 'x', 'it failed', { sector: 0 }).message).toBe(
      'it failed (sector 0 of the disk)',
    );
  });

  it('lists everything that was tried, each with what it turned out to be', () => {
    const candidates = [
      { path: '/a', outcome: 'no such file' },
      { path: '/b', outcome: 'a VMDK with CID 00000001' },
    ];
    const { message } = new VmdkError('missing', 'parent-missing', 'no parent', { candidates });
    expect(message).toBe('no parent\n  tried /a: no such file\n  tried /b: a VMDK with CID 00000001');
  });

  it('keeps kind, code, context and cause for programs', () => {
    const cause = new Error('EIO');
    const context = { path: '/a', found: 1 };
    const error = new VmdkError('io', 'io-error', 'it failed', context, cause);
    expect(error).toMatchObject({ name: 'VmdkError', kind: 'io', code: 'io-error', context, cause });
    expect(error).toBeInstanceOf(Error);
    expect('cause' in new VmdkError('io', 'io-error', 'it failed')).toBe(false);
  });
});

describe('isVmdkError', () => {
  const error = new VmdkError('io', 'io-error', 'it failed');

  it('tells it from other errors, with any code or with one of those named', () => {
    expect(isVmdkError(error)).toBe(true);
    expect(isVmdkError(error, 'other', 'io-error')).toBe(true);
    expect(isVmdkError(error, 'other')).toBe(false);
    for (const no of [new Error('io-error'), { code: 'io-error' }, undefined, 'io-error']) {
      expect(isVmdkError(no)).toBe(false);
    }
  });
});

describe('usageError', () => {
  it('is of kind usage, with a hint when there is one', () => {
    expect(usageError('no', 'Try again.')).toMatchObject({
      kind: 'usage',
      code: 'usage',
      context: { hint: 'Try again.' },
    });
    expect(usageError('no').context).toEqual({});
  });
});

import { describe, expect, it } from 'vitest';
import { detectFileKind } from '../../src/format/file-kind.ts';
import {
  classifyFileName,
  deltaNameFor,
  descriptorCandidatesFor,
  flatNameFor,
  nextDeltaName,
  sesparseNameFor,
  splitNameFor,
} from '../../src/format/file-names.ts';

describe('companion names', () => {
  it('are made from the descriptor, whatever its extension looks like', () => {
    expect(flatNameFor('a.b.vmdk')).toBe('a.b-flat.vmdk');
    expect(flatNameFor('DISK.VMDK')).toBe('DISK-flat.vmdk');
    expect(splitNameFor('disk.vmdk', 1, 's')).toBe('disk-s001.vmdk');
    expect(splitNameFor('disk.vmdk', 1000, 'f')).toBe('disk-f1000.vmdk');
    expect(deltaNameFor('vms/disk-000001.vmdk')).toBe('vms/disk-000001-delta.vmdk');
    expect(sesparseNameFor('disk-000001.vmdk')).toBe('disk-000001-sesparse.vmdk');
  });

  it.each([
    ['disk.vmdk', { role: 'disk', stem: 'disk' }],
    ['disk-cl1.vmdk', { role: 'disk', stem: 'disk-cl1' }],
    ['disk-flat.vmdk', { role: 'flat', stem: 'disk' }],
    ['disk-f012.vmdk', { role: 'split-flat', stem: 'disk', number: 12 }],
    ['disk-000001-s1000.vmdk', { role: 'split-sparse', stem: 'disk-000001', number: 1000 }],
    ['disk-000001.vmdk', { role: 'snapshot', stem: 'disk', number: 1 }],
    ['dir/disk-000001-delta.vmdk', { role: 'delta', stem: 'disk-000001' }],
    ['disk-000001-SESPARSE.VMDK', { role: 'sesparse', stem: 'disk-000001' }],
    ['disk-rdm.vmdk', { role: 'rdm', stem: 'disk' }],
    ['disk-rdmp.vmdk', { role: 'rdm', stem: 'disk' }],
    ['disk-ctk.vmdk', { role: 'change-tracking', stem: 'disk' }],
    ['disk-digest.vmdk', { role: 'digest', stem: 'disk' }],
    ['disk-pt.vmdk', { role: 'partition-table', stem: 'disk' }],
    ['C:\\vms\\disk.vmdk.REDO_aBcDeF', { role: 'redo', stem: 'disk' }],
    ['disk.REDO', { role: 'redo', stem: 'disk' }],
    ['disk.vmx', { role: 'other', stem: 'disk.vmx' }],
    ['-flat.vmdk', { role: 'disk', stem: '-flat' }],
  ])('%s is told from the others', (name, parts) => {
    expect(classifyFileName(name)).toEqual(parts);
  });

  it.each([
    ['disk-flat.vmdk', ['disk.vmdk']],
    ['vms/disk-000001-delta.vmdk', ['vms/disk-000001.vmdk']],
    ['disk-s001.VMDK', ['disk.VMDK', 'disk.vmdk']],
    ['disk-000002-ctk.vmdk', ['disk-000002.vmdk']],
    ['disk.vmdk.REDO_abcdef', ['disk.vmdk']],
    ['disk.vmdk', []],
    ['disk-000001.vmdk', []],
    ['disk.raw', []],
    ['disk-digest.vmdk', []],
    ['disk-digest-flat.vmdk', ['disk-digest.vmdk']],
  ])('%s may belong to %j', (name, candidates) => {
    expect(descriptorCandidatesFor(name)).toEqual(candidates);
  });

  it('lead back to the descriptor they were made from', () => {
    for (const disk of ['disk.vmdk', 'a/b-000003.vmdk', 'x-flat.vmdk', 'DISK.VMDK']) {
      for (const companion of [
        flatNameFor(disk),
        splitNameFor(disk, 7, 's'),
        deltaNameFor(disk),
        sesparseNameFor(disk),
      ]) {
        expect(descriptorCandidatesFor(companion)[0]!.toLowerCase()).toBe(disk.toLowerCase());
      }
    }
  });
});

describe('nextDeltaName', () => {
  it('takes the lowest free number of the base, whichever link it is asked for', () => {
    const taken = [
      'sql.vmdk',
      'sql-000001.vmdk',
      'sql-000003-delta.vmdk',
      'sql2-000002.vmdk',
      'sql-0000021.vmdk',
    ];
    expect(nextDeltaName(taken, 'sql.vmdk')).toBe('sql-000002.vmdk');
    expect(nextDeltaName([...taken, 'SQL-000002-s001.vmdk'], 'dir/sql-000001.vmdk')).toBe('sql-000004.vmdk');
    expect(nextDeltaName([], 'a+b(1).vmdk')).toBe('a+b(1)-000001.vmdk');
  });
});

describe('detectFileKind', () => {
  it.each([
    ['4b444d5601000000', 'sparse'],
    ['6b646d7601000000', 'unfinished-sparse'],
    ['434f574401000000', 'cowd'],
    ['bebafeca00000000', 'sesparse'],
    ['bebafeca01000000', 'unknown'],
    ['a27219f601000000', 'change-tracking'],
    ['00', 'unknown'],
    ['', 'unknown'],
  ])('tells %s as %s', (hex, kind) => {
    expect(detectFileKind(Buffer.from(hex, 'hex'))).toBe(kind);
  });

  it.each([
    ['# Disk DescriptorFile\nversion=1\n', 'descriptor'],
    ['\ufeff\r\n \t# x\r\n  VERSION = 1', 'descriptor'],
    ['version=1', 'descriptor'],
    ['#version=1\nCID=1\nversion=1', 'unknown'],
    ['# x\0\nversion=1', 'unknown'],
    ['versions=1', 'unknown'],
  ])('tells the text %j as %s', (text, kind) => {
    expect(detectFileKind(Buffer.from(text))).toBe(kind);
  });
});

// Which point of a machine a name, a uid, an index or a time means, and what is refused because it may mean several.
import { beforeAll, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { findPoint } from '../../src/machine/point-at.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { buildMachine } from '../support/machine-model.ts';

/** Snapshots 1, 2 and 3 of 2026-03-01, -02 and -03, noon UTC. */
let machine: Machine;

beforeAll(async () => {
  const fs = createMemoryFileStore();
  const { vmxPath } = await buildMachine(fs, '/golden', { nodes: ['scsi0:0'] });
  machine = await openMachine(vmxPath, { fs });
});

const uidAt = (at: string): number | undefined => findPoint(machine, at).snapshot?.uid;

function refusal(at: string, of = machine): { code: string; message: string } {
  try {
    findPoint(of, at);
  } catch (error) {
    if (isVmdkError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: 'none', message: '' };
}

describe('findPoint', () => {
  it.each([
    ['installed', 1],
    ['uid:2', 2],
    ['3', 3],
    ['index:0', 1],
    ['2026-03-01T12:00:00Z', 1],
    ['2026-03-02T11:59:59.999999Z', 1],
    ['2026-03-02T12:00Z', 2],
    ['2026-03-02 13:00:00+01:00', 2],
    ['2026-03-02t07:00-05:00', 2],
    ['2030-01-01T00:00Z', 3],
  ])('takes %s for snapshot %i', (at, uid) => expect(uidAt(at)).toBe(uid));

  it('knows the running point', () => expect(findPoint(machine, 'running')).toEqual({}));

  it('says what lies around a time', () => {
    expect(findPoint(machine, '2026-03-01T18:00Z').note).toBe(
      '2026-03-01T18:00Z: answered by snapshot uid:1 "installed" of 2026-03-01T12:00:00.000Z; the next is uid:2 "patched" of 2026-03-02T12:00:00.000Z',
    );
    expect(findPoint(machine, '2030-01-01T00:00Z').note).toContain('no snapshot is later');
  });

  it('lists what there is when nothing fits', () => {
    expect(refusal('2026-02-28T00:00Z')).toMatchObject({ code: 'nothing-so-early' });
    expect(refusal('2026-02-28T00:00Z').message).toContain('uid:3 "experiment" of 2026-03-03');
    expect(refusal('nonesuch').code).toBe('snapshot-missing');
    expect(refusal('index:7')).toMatchObject({ code: 'snapshot-missing' });
    expect(refusal('index:7').message).toContain('index:2 uid:3 "experiment"');
  });

  it('takes no time that may be several moments, and none that is none', () => {
    expect(refusal('2026-03-02').code).toBe('time-without-zone');
    expect(refusal('2026-03-02T12:00').code).toBe('time-without-zone');
    expect(refusal('2026-03-02T25:00Z').code).toBe('no-such-time');
  });

  it('refuses to choose between snapshots of one time', () => {
    const [first, second, third] = machine.snapshots.snapshots;
    const twins = [first!, second!, { ...third!, createdMicros: second!.createdMicros! }];
    const of = { ...machine, snapshots: { ...machine.snapshots, snapshots: twins } };
    expect(refusal('2026-03-05T00:00Z', of).code).toBe('snapshot-ambiguous');
  });

  it('lets a snapshot that is called like a time be named', () => {
    const [first] = machine.snapshots.snapshots;
    const called = [{ ...first!, uid: 9, displayName: '2026-03-02' }];
    const of = { ...machine, snapshots: { ...machine.snapshots, snapshots: called } };
    expect(findPoint(of, '2026-03-02').snapshot?.uid).toBe(9);
  });

  it('gives no disks of a snapshot whose uid another has as well, by whatever it is named', () => {
    const [first, second, third] = machine.snapshots.snapshots;
    const twins = [first!, second!, { ...third!, uid: 2 }];
    const of = { ...machine, snapshots: { ...machine.snapshots, snapshots: twins } };
    for (const at of ['patched', 'experiment', 'uid:2', '2', 'index:1', 'index:2', '2026-03-05T00:00Z'])
      expect(refusal(at, of).code, at).toBe('duplicate-uid');
    expect(refusal('2', of).message).toContain(
      '2, more than once: snapshot1 "patched", snapshot2 "experiment", expected a uid of its own for each snapshot\n  snapshot1 is on golden-000001.vmdk\n  snapshot2 is on golden-000002.vmdk\n  To read one, name its disk.',
    );
    expect(findPoint(of, 'installed').snapshot?.uid).toBe(1);
  });
});

// The snapshot database: odd files that real machines have, and edits that VMware must still be able to read.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDictionary, printDictionary, type Dictionary } from '../../src/format/dictionary.ts';
import {
  addSnapshot,
  composeCloneDatabase,
  emptyVmsd,
  removeSnapshot,
  renameSnapshot,
  setClones,
  setCurrent,
  setSnapshotDisks,
} from '../../src/format/edit-vmsd.ts';
import {
  ancestryOf,
  childrenOf,
  highLowToMicros,
  microsToHighLow,
  readSnapshotDatabase,
} from '../../src/format/vmsd.ts';

const TREE = `.encoding = "UTF-8"
snapshot.lastUID = "9"
snapshot.current = "4"
snapshot.mru0.uid = "4"
snapshot0.uid = "2"
snapshot0.displayName = "root"
snapshot0.odd = "kept"
snapshot0.numDisks = "1"
snapshot0.disk0.fileName = "a.vmdk"
snapshot0.disk0.node = "scsi0:0"
snapshot.numSnapshots = "3"
snapshot1.uid = "3"
snapshot1.parent = "2"
snapshot1.displayName = "middle"
snapshot1.clone0 = "/vms/c/c.vmx"
snapshot1.numClones = "1"
snapshot2.uid = "4"
snapshot2.parent = "3"
snapshot2.displayName = "top |22x|22"
`;

describe('times of snapshots', () => {
  it.each([
    [388745, 1991180826, '2022-11-28T15:24:12'],
    [388801, -814770620, '2022-12-01T10:37:39'],
    [416404, 1361996416, '2026-09-03T13:42:03'],
  ])('%d / %d is %s', (high, low, time) => {
    const micros = highLowToMicros(high, low);
    expect(new Date(Number(micros / 1000n)).toISOString()).toContain(time);
    expect(microsToHighLow(micros)).toEqual({ high, low });
  });

  it('come back from any two halves', () => {
    const any = fc.bigInt({ min: 0n, max: (1n << 62n) - 1n });
    fc.assert(
      fc.property(any, (micros) => {
        const { high, low } = microsToHighLow(micros);
        expect(low).toBe(low | 0);
        expect(highLowToMicros(high, low)).toBe(micros);
      }),
      { seed: 20261122 },
    );
  });

  it.each(['0', '-1', '99999999999', 'x', ''])('that make no sense (high "%s") are no times', (high) => {
    const text = `snapshot0.uid = "1"\nsnapshot0.createTimeHigh = "${high}"\nsnapshot0.createTimeLow = "0"\n`;
    expect(readSnapshotDatabase(parsed(text)).snapshots[0]!.createdAt).toBeUndefined();
  });
});

describe('reading a snapshot database', () => {
  it.each([
    ['no uid', 'snapshot0.displayName = "x"', ['vmsd-bad-uid']],
    ['a uid that is no number', 'snapshot0.uid = "-3"', ['vmsd-bad-uid']],
    ['a uid twice', 'snapshot0.uid = "1"\nsnapshot1.uid = "1"', ['vmsd-duplicate-uid']],
    ['a parent that is missing', 'snapshot0.uid = "1"\nsnapshot0.parent = "7"', ['vmsd-parent-missing']],
    [
      'a circle',
      'snapshot0.uid = "1"\nsnapshot0.parent = "2"\nsnapshot1.uid = "2"\nsnapshot1.parent = "1"',
      ['vmsd-circle'],
    ],
    ['a snapshot that is its own parent', 'snapshot0.uid = "1"\nsnapshot0.parent = "1"', ['vmsd-circle']],
    ['a current one that is missing', 'snapshot.current = "5"', ['vmsd-current-missing']],
    ['a wrong count', 'snapshot.numSnapshots = "2"\nsnapshot0.uid = "1"', ['vmsd-count']],
  ])('gets past %s', (_, text, codes) => {
    const database = readSnapshotDatabase(parsed(text));
    expect(database.problems.map(({ code }) => code)).toEqual(codes);
    for (const { uid } of database.snapshots) expect(ancestryOf(database, uid).length).toBeLessThan(3);
  });

  it('is not kept busy by thousands, and refuses more than any machine has', () => {
    const text = (count: number): string =>
      Array.from(
        { length: count },
        (_, index) => `snapshot${index}.uid = "${index + 1}"\nsnapshot${index}.parent = "${index}"\n`,
      ).join('');
    const { snapshots, problems } = readSnapshotDatabase(parsed(text(4096)));
    expect([snapshots.length, problems]).toEqual([4096, []]);
    const circle = `${text(4096).replace('snapshot0.parent = "0"', 'snapshot0.parent = "4096"')}`;
    expect(readSnapshotDatabase(parsed(circle)).problems).toMatchObject([{ code: 'vmsd-circle' }]);
    expect(() => readSnapshotDatabase(parsed(text(4097)))).toThrow(
      expect.objectContaining({ code: 'too-many-snapshots' }),
    );
  });

  it('takes 0 for no parent and no current snapshot', () => {
    const text = 'snapshot.current = "0"\nsnapshot0.uid = "1"\nsnapshot0.parent = "0"\n';
    const { snapshots, currentUid, problems } = readSnapshotDatabase(parsed(text));
    expect([currentUid, snapshots[0]!.parentUid, problems]).toEqual([undefined, undefined, []]);
  });
});

describe('editing a snapshot database', () => {
  it('adds a snapshot after the last, makes it current, and leaves every other line', () => {
    const added = addSnapshot(parsed(TREE), {
      uid: 10,
      parentUid: 2,
      displayName: 'neu "x"',
      description: 'two\nlines',
      createdMicros: highLowToMicros(388801, -814770620),
      disks: [
        { node: 'scsi0:0', fileName: 'a-000003.vmdk' },
        { node: 'sata0:1', fileName: 'b.vmdk' },
      ],
    });
    const database = readSnapshotDatabase(added);
    expect(database).toMatchObject({ currentUid: 10, lastUid: 10, problems: [] });
    expect(database.snapshots[3]).toEqual({
      index: 3,
      uid: 10,
      parentUid: 2,
      displayName: 'neu "x"',
      description: 'two\nlines',
      createdMicros: 1669891059848772n,
      createdAt: '2022-12-01T10:37:39.848Z',
      disks: [
        { node: 'scsi0:0', fileName: 'a-000003.vmdk' },
        { node: 'sata0:1', fileName: 'b.vmdk' },
      ],
      clones: [],
    });
    const kept = TREE.split('\n').filter((line) => !/lastUID|current|numSnapshots/.test(line));
    const lines = printDictionary(added).toString().split('\n');
    expect(lines.filter((line) => kept.includes(line))).toEqual(kept);
    // In VMware's order.
    expect(lines.slice(-12, -8).map((line) => line.split(' ')[0])).toEqual([
      'snapshot3.uid',
      'snapshot3.parent',
      'snapshot3.displayName',
      'snapshot3.description',
    ]);
  });

  it('starts a file that is empty, and refuses a uid that is taken', () => {
    const first = { uid: 1, displayName: 'a', createdMicros: 1n, disks: [] };
    const added = addSnapshot(parsed(''), first);
    expect(printDictionary(added).toString()).toMatch(/^\.encoding = "UTF-8"\nsnapshot\.lastUID = "1"\n/);
    expect(readSnapshotDatabase(added)).toMatchObject({ currentUid: 1, problems: [] });
    expect(() => addSnapshot(added, first)).toThrow(/already/);
  });

  it('removes one in the middle: its child moves up the tree, the later ones up the list', () => {
    const removed = removeSnapshot(parsed(TREE), 3);
    const text = printDictionary(removed).toString();
    expect(text).not.toContain('middle');
    expect(text).not.toContain('snapshot2.');
    expect(text).toContain('snapshot1.parent = "2"\nsnapshot1.displayName = "top |22x|22"\n');
    expect(text).toContain('snapshot0.odd = "kept"');
    expect(readSnapshotDatabase(removed)).toMatchObject({ currentUid: 4, lastUid: 9, problems: [] });
  });

  it('removes the current one: its parent is current then', () => {
    expect(readSnapshotDatabase(removeSnapshot(parsed(TREE), 4))).toMatchObject({
      currentUid: 3,
      problems: [],
    });
  });

  it('removes the root: its children are roots then', () => {
    const database = readSnapshotDatabase(removeSnapshot(parsed(TREE), 2));
    expect(database.snapshots.map(({ uid, parentUid }) => [uid, parentUid])).toEqual([
      [3, undefined],
      [4, 3],
    ]);
    expect(database.problems).toEqual([]);
  });

  it('removes the last one, and says so when there is none', () => {
    const one = addSnapshot(emptyVmsd('x.vmsd'), { uid: 1, displayName: 'a', createdMicros: 1n, disks: [] });
    const none = readSnapshotDatabase(removeSnapshot(one, 1));
    expect(none).toEqual({
      snapshots: [],
      lastUid: 1,
      needConsolidate: false,
      cloneOf: [],
      sentinels: [],
      problems: [],
    });
    expect(() => removeSnapshot(one, 7)).toThrow(expect.objectContaining({ code: 'snapshot-missing' }));
  });

  it('keeps a sound tree through any adding and removing', () => {
    const step = fc.record({ remove: fc.boolean(), pick: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        let vmsd = emptyVmsd('x.vmsd');
        const model = new Map<number, number | undefined>();
        let last = 0;
        for (const { remove, pick } of steps) {
          const uids = [...model.keys()];
          const uid = uids[pick % Math.max(1, uids.length)];
          if (remove && uid !== undefined) {
            vmsd = removeSnapshot(vmsd, uid);
            for (const [child, parent] of model) if (parent === uid) model.set(child, model.get(uid));
            model.delete(uid);
          } else {
            const disks = [{ node: 'scsi0:0', fileName: `a-${last}.vmdk` }];
            vmsd = addSnapshot(vmsd, {
              uid: ++last,
              parentUid: uid,
              displayName: `s${last}`,
              createdMicros: 1n,
              disks,
            });
            model.set(last, uid);
          }
        }
        const database = readSnapshotDatabase(vmsd);
        expect(database.problems).toEqual([]);
        expect(database.snapshots.map(({ index }) => index)).toEqual(
          [...model.keys()].map((_, index) => index),
        );
        expect(new Map(database.snapshots.map(({ uid, parentUid }) => [uid, parentUid]))).toEqual(model);
        expect(database.snapshots.every(({ uid, displayName }) => displayName === `s${uid}`)).toBe(true);
        for (const [uid] of model) {
          const children = [...model].filter(([, parent]) => parent === uid).map(([child]) => child);
          expect(childrenOf(database, uid).map((child) => child.uid)).toEqual(children);
        }
      }),
      { seed: 20261122, numRuns: 60 },
    );
  });

  it('renames, and takes a description away', () => {
    const renamed = renameSnapshot(parsed(TREE), 4, { displayName: 'new | name', description: 'why' });
    expect(readSnapshotDatabase(renamed).snapshots[2]).toMatchObject({
      displayName: 'new | name',
      description: 'why',
    });
    const bare = renameSnapshot(renamed, 4, { description: '' });
    expect(printDictionary(bare).toString()).not.toContain('description');
  });

  it('becomes UTF-8 for a name that its encoding cannot write, and stays as it is for others', () => {
    const latin = parseDictionary(
      Buffer.from(
        '.encoding = "windows-1252"\nsnapshot0.uid = "1"\nsnapshot0.displayName = "\xe9"\n',
        'latin1',
      ),
      'x.vmsd',
    );
    const same = renameSnapshot(latin, 1, { displayName: 'Büro' });
    expect(printDictionary(same).toString('latin1')).toContain(
      '"windows-1252"\nsnapshot0.uid = "1"\nsnapshot0.displayName = "Büro"',
    );
    const more = addSnapshot(latin, {
      uid: 2,
      parentUid: 1,
      displayName: '中',
      createdMicros: 1n,
      disks: [],
    });
    expect(more.encoding).toBe('utf-8');
    expect(readSnapshotDatabase(more).snapshots.map(({ displayName }) => displayName)).toEqual(['é', '中']);
    expect(more.problems).toEqual([]);
    expect(() => renameSnapshot(latin, 1, { displayName: '\ud800' })).toThrow(
      expect.objectContaining({ code: 'name-not-encodable' }),
    );
  });

  it('sets the current one, or none', () => {
    expect(readSnapshotDatabase(setCurrent(parsed(TREE), 2)).currentUid).toBe(2);
    expect(readSnapshotDatabase(setCurrent(parsed(TREE), undefined)).currentUid).toBeUndefined();
    expect(() => setCurrent(parsed(TREE), 5)).toThrow(/no such snapshot/);
  });

  it('lists the clones of a snapshot anew, fewer or more', () => {
    for (const clones of [[], ['/a.vmx'], ['/a.vmx', 'D:\\b\\b.vmx', '/c.vmx']]) {
      const set = setClones(parsed(TREE), { index: 1, uid: 3 }, clones);
      expect(readSnapshotDatabase(set).snapshots[1]!.clones).toEqual(clones);
      expect(set.get('snapshot1.numClones')).toBe(String(clones.length));
    }
    expect(() => setClones(parsed(TREE), { index: 0, uid: 3 }, [])).toThrow(/no such snapshot/);
  });

  it('sets the disks of a snapshot anew', () => {
    const set = setSnapshotDisks(parsed(TREE), 2, [{ node: 'scsi0:0', fileName: 'b.vmdk' }]);
    expect(readSnapshotDatabase(set).snapshots[0]!.disks).toEqual([{ node: 'scsi0:0', fileName: 'b.vmdk' }]);
    const none = setSnapshotDisks(set, 2, []);
    expect(readSnapshotDatabase(none).snapshots[0]!.disks).toEqual([]);
    expect(none.get('snapshot0.numDisks')).toBe('0');
  });

  it('composes the database of a linked clone', () => {
    const clone = composeCloneDatabase({
      path: 'c.vmsd',
      cloneOf: ['../g/g.vmx'],
      sentinels: ['c.vmdk', 'd.vmdk'],
    });
    expect(printDictionary(clone).toString()).toBe(
      '.encoding = "UTF-8"\ncloneOf0 = "../g/g.vmx"\nnumCloneOf = "1"\nsentinel0 = "c.vmdk"\nsentinel1 = "d.vmdk"\nnumSentinels = "2"\n',
    );
    expect(readSnapshotDatabase(clone)).toMatchObject({
      cloneOf: ['../g/g.vmx'],
      sentinels: ['c.vmdk', 'd.vmdk'],
    });
  });
});

function parsed(text: string): Dictionary {
  return parseDictionary(Buffer.from(text), 'x.vmsd');
}

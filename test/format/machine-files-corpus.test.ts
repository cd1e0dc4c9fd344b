// Every .vmx and .vmsd of the corpus: what is known of it, and that it prints back byte for byte.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseDictionary, printDictionary } from '../../src/format/dictionary.ts';
import { editDictionary } from '../../src/format/edit-dictionary.ts';
import { canonicalEncoding } from '../../src/format/text-encoding.ts';
import { readSnapshotDatabase, type SnapshotDatabase } from '../../src/format/vmsd.ts';
import { readVmx } from '../../src/format/vmx.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

interface Recorded {
  readonly file: string;
  readonly sha256: string;
  readonly encoding?: string | null;
  readonly encrypted?: boolean;
  readonly deltaDisk?: boolean;
  readonly diskFiles?: readonly string[];
}

/** uid < parent, name, time in UTC, disks, clones; then the rest, and problems by code. Read off the files by hand and by format.md 8.3. */
const TREES: Readonly<Record<string, readonly string[]>> = {
  '01-metasploitable2.vmsd': ['last 1'],
  '02-win10-ws.vmsd': ['last 3'],
  '04-empty-zero-bytes.vmsd': ['last 0'],
  '05-esxi5-vps-one-snapshot.vmsd': [
    '2 test1 2012-04-09T19:43:21.049Z scsi0:0=vps.vmdk',
    'current 2',
    'last 4',
  ],
  '07-esxi-test-flo-4-snapshots.vmsd': [
    '1 SNAPSHOT POST INSTALL 2022-11-28T15:24:12.664Z scsi0:0=test flo_0.vmdk',
    '2<1 SECOND - scsi0:0=test flo_0-000001.vmdk',
    '3<2 third - scsi0:0=test flo_0-000002.vmdk',
    '4<3 from cli - scsi0:0=test flo_0-000003.vmdk',
    'current 4',
    'last 4',
  ],
  '08-esxi-test-flo-4-snapshots-full.vmsd': [
    '1 SNAPSHOT POST INSTALL 2022-11-28T15:24:12.664Z scsi0:0=test flo_0.vmdk',
    '2<1 SECOND 2022-12-01T10:37:39.848Z scsi0:0=test flo_0-000001.vmdk',
    '3<2 third 2022-12-01T10:52:51.556Z scsi0:0=test flo_0-000002.vmdk',
    '4<3 from cli 2022-12-01T13:40:06.017Z scsi0:0=test flo_0-000003.vmdk',
    'current 4',
    'last 4',
  ],
  '10-pos01-cyberdefenders.vmsd': [
    '1 before-firstrun 2015-10-09T07:51:47.654Z scsi0:0=POS-01.vmdk',
    'current 1',
    'last 1',
  ],
  '14-ws-win11-lab-chain.vmsd': [
    '1 Clean win10 2026-05-07T15:42:01.212Z =WIN11-LAB.vmdk',
    '2<1 Pre-FLARE Hardened 2026-05-07T22:07:04.925Z =WIN11-LAB-000001.vmdk',
    'current 5',
    'last 5',
    'vmsd-disk-without-node',
    'vmsd-disk-without-node',
    'vmsd-current-missing',
  ],
  '15-ntfsfind-windowsvm.vmsd': [
    '1 Before Windows Update 2020-05-10T19:11:39.520Z scsi0:0=Windows-000001.vmdk',
    '2<1 After Windows Update 2020-05-15T18:29:56.249Z scsi0:0=Windows-000002.vmdk',
    '3<2 Before Investigation 2020-05-20T17:48:12.979Z scsi0:0=Windows-000003.vmdk scsi0:1=Data-000001.vmdk',
    'current 3',
    'last 3',
  ],
  '18-ws-linked-clone-two-children-cp1251.vmsd': [
    '1 base - clone D:\\VMs\\child1\\child1.vmx',
    '2<1 Clone - clone D:\\VMs\\gone\\gone.vmx',
    'current 2',
    'last 2',
  ],
  '19-ws-clone-child.vmsd': ['last 0', 'clone of ../origen/origen.vmx', 'sentinel clon.vmdk'],
  '21-esxi-clone-zero-time.vmsd': ['1 Snapshot - scsi0:0=disk-delta.vmdk', 'current 1', 'last 1'],
};

describeWithCorpus('machine files of the corpus', (folder) => {
  const recorded = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
    vmx: Recorded[];
    vmsd: Recorded[];
  };

  it('are all there', () => {
    expect(recorded.vmx.length).toBeGreaterThan(50);
    expect(recorded.vmsd.length).toBeGreaterThan(10);
  });

  for (const [kind, files] of Object.entries({ vmx: recorded.vmx, vmsd: recorded.vmsd })) {
    for (const { file, sha256 } of files) {
      it(`${file} prints back byte for byte, also around an edit that is undone`, () => {
        const bytes = readFileSync(join(folder, kind, file));
        expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
        const dictionary = parseDictionary(bytes, file);
        expect(printDictionary(dictionary).equals(bytes)).toBe(true);
        const edited = editDictionary(dictionary, { 'vmdkit.probe': 'a "quoted" | value' });
        expect(edited.get('VMDKIT.Probe')).toBe('a "quoted" | value');
        const back = printDictionary(editDictionary(edited, { 'vmdkit.probe': null }));
        // A last line without its end gets one.
        expect(back.subarray(0, bytes.length).equals(bytes)).toBe(true);
        expect(back.subarray(bytes.length).toString()).toMatch(/^(\r?\n)?$/);
      });
    }
  }

  for (const facts of recorded.vmx) {
    it(`${facts.file} is read as recorded`, () => {
      const dictionary = parseDictionary(readFileSync(join(folder, 'vmx', facts.file)), facts.file);
      const reading = readVmx(dictionary);
      // Some are templates, whose disk is not present yet.
      const disks = reading.devices.filter(({ kind }) => kind === 'disk');
      const names = disks.flatMap(({ fileName }) => (fileName === undefined ? [] : [fileName]));
      expect(reading.encrypted).toBe(facts.encrypted);
      expect(dictionary.encoding).toBe(canonicalEncoding(facts.encoding ?? 'UTF-8'));
      expect(reading.problems).toEqual([]);
      for (const name of facts.diskFiles ?? []) expect(names).toContain(name);
      expect(names.some((name) => /-\d{6}\.vmdk$/.test(name))).toBe(facts.deltaDisk);
    });
  }

  for (const { file } of recorded.vmsd) {
    it(`${file} gives the tree that was recorded`, () => {
      const bytes = readFileSync(join(folder, 'vmsd', file));
      const database = readSnapshotDatabase(parseDictionary(bytes, file));
      expect(treeOf(database)).toEqual(TREES[file]);
    });
  }
});

function treeOf({
  snapshots,
  currentUid,
  lastUid,
  cloneOf,
  sentinels,
  problems,
}: SnapshotDatabase): string[] {
  return [
    ...snapshots.map(({ uid, parentUid, displayName, createdAt, disks, clones }) => {
      const place = parentUid === undefined ? `${uid}` : `${uid}<${parentUid}`;
      const shown = disks.map(({ node, fileName }) => ` ${node}=${fileName}`).join('');
      const hung = clones.map((clone) => ` clone ${clone}`).join('');
      return `${place} ${displayName} ${createdAt ?? '-'}${shown}${hung}`;
    }),
    ...(currentUid === undefined ? [] : [`current ${currentUid}`]),
    `last ${lastUid}`,
    ...cloneOf.map((vmx) => `clone of ${vmx}`),
    ...sentinels.map((disk) => `sentinel ${disk}`),
    ...problems.map(({ code }) => code),
  ];
}

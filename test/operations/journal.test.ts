// Journals of interrupted runs: what is believed of them, what settling does, and what it never touches.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VmdkError } from '../../src/core/errors.ts';
import { findInterruptedRuns, settleRun, type SettledRun } from '../../src/operations/interrupted-runs.ts';
import {
  encodeJournal,
  journalFolderName,
  parseJournal,
  parseJournalFolder,
  readyName,
  releasedName,
  type Journal,
} from '../../src/operations/journal.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { runsOf } from '../support/clone-bench.ts';

const OWNER = { host: 'aaaaaaaa', pid: 12, started: '7' };
const NAME = journalFolderName(OWNER, '01234567');
const JOURNAL: Journal = {
  request: 'r',
  layout: 'files',
  units: [
    { name: 'a', files: ['a-delta.vmdk', 'a.vmdk'] },
    { name: 'b', files: ['b-delta.vmdk', 'b.vmdk'] },
  ],
};

describe('a journal', () => {
  it('is read as it was written', () => {
    expect(parseJournal(encodeJournal(JOURNAL), 'j')).toEqual(JOURNAL);
  });

  it('counts as never written when it was cut short at any byte, or its middle is zeros', () => {
    const whole = encodeJournal(JOURNAL);
    for (let length = 0; length < whole.length; length++) {
      expect(parseJournal(whole.subarray(0, length), 'j'), String(length)).toBeUndefined();
    }
    expect(parseJournal(Buffer.from(whole).fill(0, 20, 60), 'j')).toBeUndefined();
  });

  it.each([
    ['another schema', { schema: 'vmdkit-journal/v2' }],
    ['another layout', { layout: 'heap' }],
    ['no list', { units: { length: 1 } }],
    ['a unit without files', { units: [{ name: 'a', files: [] }] }],
    ['a file that is no text', { units: [{ name: 'a', files: [7] }] }],
    ['a name that climbs', { units: [{ name: '../a', files: ['a.vmdk'] }] }],
    ['a file that climbs', { units: [{ name: 'a', files: ['../a.vmdk'] }] }],
    ['a file elsewhere', { units: [{ name: 'a', files: ['/etc/a.vmdk'] }] }],
    ['a file below', { units: [{ name: 'a', files: ['golden/golden.vmdk'] }] }],
    ['a file that is no disk', { units: [{ name: 'a', files: ['passwd'] }] }],
    ['a hidden file', { units: [{ name: 'a', files: ['.vmdk'] }] }],
    ['a name with a NUL', { units: [{ name: 'a\0', files: ['a.vmdk'] }] }],
  ])('is refused with %s', (_, change) => {
    const forged = Buffer.from(`${JSON.stringify({ schema: 'vmdkit-journal/v1', ...JOURNAL, ...change })}\n`);
    expect(() => parseJournal(forged, '/x/journal.json')).toThrow(
      expect.objectContaining<Partial<VmdkError>>({ kind: 'corrupt', code: 'bad-journal' }),
    );
  });

  it('says in the name of its folder whose it is and how far', () => {
    expect(parseJournalFolder(NAME)).toEqual({ name: NAME, owner: OWNER, state: 'new' });
    expect(parseJournalFolder(readyName(NAME))).toMatchObject({ owner: OWNER, state: 'ready' });
    expect(parseJournalFolder(releasedName(readyName(NAME)))).toMatchObject({
      owner: undefined,
      state: 'ready',
    });
    for (const other of ['.vmdkit', `${NAME}x`, `x${NAME}`, NAME.replace('.new', ''), 'a.vmdk']) {
      expect(parseJournalFolder(other), other).toBeUndefined();
    }
  });
});

describe('the owner of a run', () => {
  it('is this process, told by its start from another of its number', () => {
    const runs = localRuns();
    expect(runs.self.pid).toBe(process.pid);
    expect(runs.stateOf(runs.self)).toBe('running');
    const hosts = { process: (pid: number) => (pid === 5 ? { alive: true, started: 99 } : { alive: false }) };
    const five = localRuns(hosts, 5);
    const { self } = five;
    expect(five.stateOf(self)).toBe('running');
    expect(five.stateOf({ ...self, started: '98' })).toBe('gone');
    expect(five.stateOf({ ...self, started: '0' })).toBe('running');
    expect(five.stateOf({ ...self, pid: 6 })).toBe('gone');
    expect(five.stateOf({ ...self, pid: 6, host: '00000000' })).toBe('unknown');
  });
});

describe('settling', () => {
  let into: string;
  const store = createNodeFileStore();
  const gone = { runs: runsOf(1) };
  beforeEach(async () => {
    into = await mkdtemp(join(tmpdir(), 'vmdkit-journal-'));
  });
  afterEach(() => rm(into, { recursive: true, force: true }));

  async function leave(state: 'new' | 'ready', files: Record<string, string>, journal = JOURNAL) {
    const folder = join(into, state === 'new' ? NAME : readyName(NAME));
    await mkdir(join(folder, 'made'), { recursive: true });
    await writeFile(join(folder, 'journal.json'), encodeJournal(journal));
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    return folder;
  }

  async function settle(): Promise<SettledRun[]> {
    const settled: SettledRun[] = [];
    for (const run of await findInterruptedRuns(store, into, gone)) {
      settled.push(await settleRun(store, into, run));
    }
    return settled;
  }

  it('undoes a run that had not made everything: what it made, and the names it had taken', async () => {
    await leave('new', { 'made/a-delta.vmdk': 'half', 'made/a.vmdk': '' });
    await writeFile(join(into, 'b.vmdk'), '');
    await writeFile(join(into, 'b-delta.vmdk'), 'not empty, so it is not ours');
    await writeFile(join(into, 'c.vmdk'), '');
    expect(await settle()).toMatchObject([{ fate: 'undone', placed: [], dropped: [] }]);
    expect(await readdir(into)).toEqual(['b-delta.vmdk', 'c.vmdk']);
  });

  it('finishes a run that had, wherever it was', async () => {
    await leave('ready', { 'made/a.vmdk': 'A', 'made/b-delta.vmdk': 'Bd', 'made/b.vmdk': 'B' });
    await writeFile(join(into, 'a-delta.vmdk'), 'Ad');
    await writeFile(join(into, 'a.vmdk'), '');
    const [run] = await settle();
    expect(run!.placed).toEqual(JOURNAL.units);
    expect((await readdir(into)).sort()).toEqual(['a-delta.vmdk', 'a.vmdk', 'b-delta.vmdk', 'b.vmdk']);
    expect(await readFile(join(into, 'a.vmdk'), 'utf8')).toBe('A');
  });

  it('drops a clone whose place was taken meanwhile, and tells', async () => {
    await leave('ready', {
      'made/a-delta.vmdk': 'Ad',
      'made/a.vmdk': 'A',
      'made/b-delta.vmdk': 'Bd',
      'made/b.vmdk': 'B',
    });
    await writeFile(join(into, 'a.vmdk'), 'mine');
    const [run] = await settle();
    expect(run!.placed).toEqual([JOURNAL.units[1]]);
    expect(run!.dropped).toEqual([JOURNAL.units[0]]);
    expect((await readdir(into)).sort()).toEqual(['a.vmdk', 'b-delta.vmdk', 'b.vmdk']);
    expect(await readFile(join(into, 'a.vmdk'), 'utf8')).toBe('mine');
  });

  it('does not take for a clone what stands in the place of one that was given up', async () => {
    await leave('ready', { 'abandoned-0': '', 'made/b-delta.vmdk': 'Bd', 'made/b.vmdk': 'B' });
    await writeFile(join(into, 'a.vmdk'), 'mine');
    await writeFile(join(into, 'a-delta.vmdk'), 'mine');
    const [run] = await settle();
    expect(run!.placed).toEqual([JOURNAL.units[1]]);
    expect((await readdir(into)).sort()).toEqual(['a-delta.vmdk', 'a.vmdk', 'b-delta.vmdk', 'b.vmdk']);
  });

  it.each(['new', 'ready'] as const)(
    'removes a .%s folder whose journal never was or is gone',
    async (state) => {
      const folder = await leave(state, {});
      await writeFile(join(folder, 'journal.json'), encodeJournal(JOURNAL).subarray(0, 30));
      await settle();
      expect(await readdir(into)).toEqual([]);
      await rm(join(await leave(state, {}), 'journal.json'));
      await settle();
      expect(await readdir(into)).toEqual([]);
    },
  );

  it('removes nothing that the journal does not list, and says what is left', async () => {
    const folder = await leave('new', { 'made/a.vmdk': 'A', 'made/diary.txt': 'dear' });
    await expect(settle()).rejects.toMatchObject({ code: 'not-undone' });
    const [left] = await readdir(into);
    expect(left).toBe(releasedName(NAME));
    expect(await readdir(join(into, left!, 'made'))).toEqual(['diary.txt']);
    expect(folder).not.toBe(join(into, left!));
    await rm(join(into, left!, 'made/diary.txt'));
    await settle();
    expect(await readdir(into)).toEqual([]);
  });

  it('leaves alone what a living process, or one of another host, is working on', async () => {
    await leave('new', {});
    const conflict = { kind: 'conflict', code: 'run-in-progress' };
    const living = { runs: runsOf(1, [12]) };
    await expect(findInterruptedRuns(store, into, living)).rejects.toMatchObject(conflict);
    const elsewhere = { runs: runsOf(1, [], 'bbbbbbbb') };
    await expect(findInterruptedRuns(store, into, elsewhere)).rejects.toMatchObject(conflict);
    await expect(findInterruptedRuns(store, into, { ...living, takeOver: true })).rejects.toMatchObject(
      conflict,
    );
    expect(await findInterruptedRuns(store, into, { ...elsewhere, takeOver: true })).toHaveLength(1);
  });

  it('never goes through a link: the folder, what is made in it, or the journal', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'vmdkit-outside-'));
    try {
      await writeFile(join(outside, 'a.vmdk'), 'precious');
      const folders: Journal = { ...JOURNAL, layout: 'folders', units: [{ name: 'a', files: ['a.vmdk'] }] };
      const bad = { kind: 'refused', code: 'bad-journal' };

      const folder = await leave('new', {});
      await rm(join(folder, 'made'), { recursive: true });
      await symlink(outside, join(folder, 'made'));
      await expect(settle()).rejects.toMatchObject(bad);
      await rm(folder, { recursive: true });

      await leave('new', {}, folders);
      await symlink(outside, join(folder, 'made/a'));
      await expect(settle()).rejects.toMatchObject(bad);
      await rm(folder, { recursive: true });

      await symlink(outside, folder);
      await expect(settle()).rejects.toMatchObject(bad);
      await rm(folder);

      await leave('new', {});
      await rm(join(folder, 'journal.json'));
      await writeFile(join(outside, 'journal.json'), encodeJournal(JOURNAL));
      await symlink(join(outside, 'journal.json'), join(folder, 'journal.json'));
      await expect(settle()).rejects.toMatchObject(bad);
      await rm(folder, { recursive: true });

      // A link in the place of a file is removed itself; a name taken by a link is not one of ours.
      await leave('new', {});
      await symlink(join(outside, 'a.vmdk'), join(folder, 'made/a.vmdk'));
      await writeFile(join(outside, 'empty'), '');
      await symlink(join(outside, 'empty'), join(into, 'b.vmdk'));
      await settle();
      expect(await readdir(into)).toEqual(['b.vmdk']);
      expect((await readdir(outside)).sort()).toEqual(['a.vmdk', 'empty', 'journal.json']);
      expect(await readFile(join(outside, 'a.vmdk'), 'utf8')).toBe('precious');
    } finally {
      await rm(outside, { recursive: true, force: true });
    }
  });

  it('refuses a journal beyond all size before reading it', async () => {
    const folder = await leave('new', {});
    const file = await store.open(join(folder, 'journal.json'), 'update');
    await file.resize(2 ** 40);
    await file.close();
    await expect(settle()).rejects.toMatchObject({ code: 'journal-too-large' });
  });
});

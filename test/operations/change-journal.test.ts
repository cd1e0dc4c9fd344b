// Journals of change sets: what is believed of them, whose they are, and that a forged one leads nowhere.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VmdkError } from '../../src/core/errors.ts';
import {
  changeFolderName,
  encodeChangeJournal,
  encodePart,
  givenUpName,
  inState,
  parseChangeFolder,
  parseChangeJournal,
  parsePart,
  parsePartFolder,
  partFolderName,
  type ChangeJournal,
  type ChangeRecord,
  type ChangeState,
} from '../../src/operations/change-journal.ts';
import { hashOf } from '../../src/operations/plan-changes.ts';
import { findInterrupted, settleChangeSets } from '../../src/operations/settle-changes.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { runsOf } from '../support/clone-bench.ts';

const RANDOM = '0123456789abcdef';
const OWNER = { host: 'aaaaaaaa', pid: 12, started: '7' };
const A = 'a'.repeat(64);
const JOURNAL: ChangeJournal = {
  label: 'snapshot',
  request: 'r',
  otherRoots: ['/other'],
  changes: [
    { kind: 'create', root: 0, path: 'a' },
    { kind: 'create-together', root: 0, path: '', files: ['x', 'y'] },
    { kind: 'folder', root: 0, path: 'b/c', files: ['d'], optional: true },
    { kind: 'replace', root: 1, path: 'e', before: A, after: A },
    { kind: 'patch', root: 0, path: 'f', at: 512, length: 7 },
    { kind: 'rename', root: 0, path: 'g', toRoot: 1, to: 'h' },
    { kind: 'remove', root: 0, path: 'i' },
    { kind: 'remove-folder', root: 0, path: 'b' },
  ],
};

describe('the journal of a change set', () => {
  it('is read as it was written, and so is a part', () => {
    expect(parseChangeJournal(encodeChangeJournal(JOURNAL), 'j')).toEqual(JOURNAL);
    expect(parsePart(encodePart('/a/b'))).toBe('/a/b');
  });

  it('counts as never written when it was cut short at any byte, or its middle is zeros', () => {
    const whole = encodeChangeJournal(JOURNAL);
    for (let length = 0; length < whole.length; length++) {
      expect(parseChangeJournal(whole.subarray(0, length), 'j'), String(length)).toBeUndefined();
    }
    expect(parseChangeJournal(Buffer.from(whole).fill(0, 20, 60), 'j')).toBeUndefined();
    expect(parsePart(encodePart('/a').subarray(0, 20))).toBeUndefined();
  });

  it.each<[string, object]>([
    ['another schema', { schema: 'vmdkit-change-set/v2' }],
    ['a label that is no word', { label: '../x' }],
    ['no list', { changes: { length: 1 } }],
    ['a relative root', { otherRoots: ['other'] }],
    ['a root that climbs', { otherRoots: ['/vm/../etc'] }],
    ['an unknown change', { changes: [{ kind: 'run', root: 0, path: 'a' }] }],
    ['a path that climbs', { changes: [{ kind: 'create', root: 0, path: '../a' }] }],
    ['a path that climbs later', { changes: [{ kind: 'remove', root: 0, path: 'a/../../b' }] }],
    ['an absolute path', { changes: [{ kind: 'remove', root: 0, path: '/etc/passwd' }] }],
    ['an empty path', { changes: [{ kind: 'remove', root: 0, path: '' }] }],
    ['a path with a NUL', { changes: [{ kind: 'remove', root: 0, path: 'a\0' }] }],
    ['a path into a journal', { changes: [{ kind: 'remove', root: 0, path: '.vmdkit-x/a' }] }],
    ['a root that is not there', { changes: [{ kind: 'remove', root: 2, path: 'a' }] }],
    ['a root that is no number', { changes: [{ kind: 'remove', root: '0', path: 'a' }] }],
    ['a file that climbs', { changes: [{ kind: 'folder', root: 0, path: 'a', files: ['../b'] }] }],
    ['no hash', { changes: [{ kind: 'replace', root: 0, path: 'a', before: A, after: 'x' }] }],
    ['a place before the file', { changes: [{ kind: 'patch', root: 0, path: 'a', at: -1, length: 1 }] }],
    ['a new name that climbs', { changes: [{ kind: 'rename', root: 0, path: 'a', toRoot: 0, to: '../b' }] }],
  ])('is refused with %s', (_, change) => {
    const forged = { schema: 'vmdkit-change-set/v1', ...JOURNAL, ...change };
    expect(() => parseChangeJournal(Buffer.from(`${JSON.stringify(forged)}\n`), '/x/journal.json')).toThrow(
      expect.objectContaining<Partial<VmdkError>>({ kind: 'corrupt', code: 'bad-journal' }),
    );
  });

  it('says in the name of its folder whose it is and how far', () => {
    const name = changeFolderName(OWNER, RANDOM, 'new');
    expect(parseChangeFolder(name)).toEqual({ name, owner: OWNER, random: RANDOM, state: 'new' });
    expect(parseChangeFolder(inState(name, 'moved'))).toMatchObject({ owner: OWNER, state: 'moved' });
    expect(parseChangeFolder(givenUpName(inState(name, 'ready')))).toMatchObject({
      owner: undefined,
      random: RANDOM,
      state: 'ready',
    });
    expect(parsePartFolder(partFolderName(RANDOM))).toBe(RANDOM);
    for (const other of [`${name}x`, `x${name}`, partFolderName(RANDOM), 'a.vmx']) {
      expect(parseChangeFolder(other), other).toBeUndefined();
    }
  });
});

describe('a journal that is found', () => {
  const store = createNodeFileStore();
  let folder: string;
  let vm: string;
  let outside: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmdkit-change-journal-'));
    [vm, outside] = [join(folder, 'vm'), join(folder, 'outside')];
    for (const path of [vm, outside]) mkdirSync(path);
    writeFileSync(join(outside, 'secret'), 'secret');
    writeFileSync(join(vm, 'a.vmx'), 'old');
  });
  afterEach(() => {
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    rmSync(folder, { recursive: true });
  });

  /** A journal folder in `vm`, as a run would have left it. */
  function plant(
    changes: readonly ChangeRecord[],
    { state = 'ready', otherRoots = [] }: { state?: ChangeState; otherRoots?: string[] } = {},
  ): string {
    const path = join(vm, changeFolderName(OWNER, RANDOM, state));
    for (const name of [path, join(path, 'made'), join(path, 'out')]) mkdirSync(name);
    const journal = { label: 'test', request: 'r', otherRoots, changes };
    writeFileSync(join(path, 'journal.json'), encodeChangeJournal(journal));
    return path;
  }

  const settle = (root = vm) => settleChangeSets(store, root, { runs: runsOf(1) });

  it('is settled once its owner is gone, and not before', async () => {
    plant([{ kind: 'create', root: 0, path: 'b' }], { state: 'new' });
    const running = settleChangeSets(store, vm, { runs: runsOf(1, [1, 12]) });
    await expect(running).rejects.toMatchObject({ code: 'run-in-progress' });
    const foreign = { runs: runsOf(1, [], 'bbbbbbbb') };
    await expect(settleChangeSets(store, vm, foreign)).rejects.toMatchObject({ code: 'run-in-progress' });
    expect(await findInterrupted(store, vm, { ...foreign, takeOver: true })).toMatchObject([
      { label: 'test', fate: 'undone' },
    ]);
    expect(await settleChangeSets(store, vm, { ...foreign, takeOver: true })).toMatchObject([
      { outcome: 'undone' },
    ]);
    expect(readdirSync(vm)).toEqual(['a.vmx']);
  });

  it('is no more than its folder when the journal was not written to its end', async () => {
    const path = plant([], { state: 'new' });
    writeFileSync(join(path, 'journal.json'), '{"schema":');
    expect(await settle()).toMatchObject([{ outcome: 'undone' }]);
    expect(readdirSync(vm)).toEqual(['a.vmx']);
    const promised = plant([]);
    writeFileSync(join(promised, 'journal.json'), '{"schema":');
    await expect(settle()).rejects.toMatchObject({ code: 'bad-journal' });
  });

  it('is refused when it is a link, or its folders are', async () => {
    symlinkSync(outside, join(vm, changeFolderName(OWNER, RANDOM, 'new')));
    await expect(settle()).rejects.toMatchObject({ code: 'bad-journal' });
    rmSync(join(vm, changeFolderName(OWNER, RANDOM, 'new')));
    const path = plant([{ kind: 'create', root: 0, path: 'b' }], { state: 'new' });
    rmSync(join(path, 'made'), { recursive: true });
    symlinkSync(outside, join(path, 'made'));
    await expect(settle()).rejects.toMatchObject({ code: 'bad-journal' });
  });

  it('takes nothing from behind a link, and changes nothing there', async () => {
    symlinkSync(outside, join(vm, 'link'));
    symlinkSync(join(outside, 'secret'), join(vm, 'linked.vmx'));
    const hash = hashOf(Buffer.from('secret'));
    const forged: ChangeRecord[] = [
      { kind: 'remove', root: 0, path: 'link/secret' },
      { kind: 'rename', root: 0, path: 'link/secret', toRoot: 0, to: 'b' },
      { kind: 'create', root: 0, path: 'link/new' },
      { kind: 'replace', root: 0, path: 'linked.vmx', before: hash, after: A },
      { kind: 'patch', root: 0, path: 'linked.vmx', at: 0, length: 1 },
      { kind: 'folder', root: 0, path: 'link/new', files: ['a'], optional: false },
    ];
    for (const record of forged) {
      const path = plant([record]);
      await expect(settle(), JSON.stringify(record)).rejects.toMatchObject({ code: 'bad-journal' });
      rmSync(path, { recursive: true });
    }
  });

  it('copies nothing in from behind a link in its own folder', async () => {
    const [before, after] = ['old', 'secret'].map((text) => hashOf(Buffer.from(text)));
    const path = plant([{ kind: 'replace', root: 0, path: 'a.vmx', before: before!, after: after! }]);
    symlinkSync(join(outside, 'secret'), join(path, 'made', '0'));
    await expect(settle()).rejects.toMatchObject({ code: 'bad-journal' });
    const folders = plant([{ kind: 'folder', root: 0, path: 'b', files: ['secret'], optional: false }], {
      state: 'new',
    });
    symlinkSync(outside, join(folders, 'made', '0'));
    rmSync(path, { recursive: true });
    await expect(settle()).rejects.toMatchObject({ code: 'bad-journal' });
    expect(readFileSync(join(vm, 'a.vmx'), 'utf8')).toBe('old');
  });

  it('reaches another folder only if that folder knows of it', async () => {
    const changes: ChangeRecord[] = [{ kind: 'remove', root: 1, path: 'secret' }];
    const path = plant(changes, { otherRoots: [outside] });
    await expect(settle()).rejects.toMatchObject({ code: 'journal-elsewhere' });
    const part = join(outside, partFolderName(RANDOM));
    mkdirSync(part);
    await expect(settle()).rejects.toMatchObject({ code: 'journal-elsewhere' });
    writeFileSync(join(part, 'journal.json'), encodePart(join(folder, 'somewhere')));
    await expect(settle()).rejects.toMatchObject({ code: 'journal-elsewhere' });
    rmSync(path, { recursive: true });
    // One that is not promised yet has nothing there to take back.
    plant(changes, { otherRoots: [outside], state: 'new' });
    await settle();
    expect(readdirSync(vm)).toEqual(['a.vmx']);
  });

  it('is waited for where its first folder is not mounted, and forgotten when it is gone', async () => {
    const part = join(vm, partFolderName(RANDOM));
    mkdirSync(part);
    writeFileSync(join(part, 'journal.json'), encodePart(join(folder, 'not-mounted')));
    await expect(settle()).rejects.toMatchObject({ code: 'journal-elsewhere' });
    writeFileSync(join(part, 'journal.json'), encodePart(outside));
    expect(await settle()).toEqual([]);
    expect(readdirSync(vm)).toEqual(['a.vmx']);
  });

  it('never loses what a run took out of its place', async () => {
    const part = join(vm, partFolderName(RANDOM));
    mkdirSync(join(part, 'out'), { recursive: true });
    writeFileSync(join(part, 'out', '0'), 'precious');
    await expect(settle()).rejects.toMatchObject({ code: 'folder-not-empty' });
    expect(readFileSync(join(part, 'out', '0'), 'utf8')).toBe('precious');
  });

  it('that cannot be finished says what is in the way, and is finished once that is gone', async () => {
    const [before, after] = ['old', 'new'].map((text) => hashOf(Buffer.from(text)));
    const path = plant([
      { kind: 'create', root: 0, path: 'b' },
      { kind: 'replace', root: 0, path: 'a.vmx', before: before!, after: after! },
    ]);
    writeFileSync(join(path, 'made', '0'), 'b');
    writeFileSync(join(path, 'made', '1'), 'new');
    writeFileSync(join(vm, 'b'), 'theirs');
    await expect(settle()).rejects.toMatchObject({ code: 'in-the-way' });
    rmSync(join(vm, 'b'));
    writeFileSync(join(vm, 'a.vmx'), 'theirs');
    await expect(settle()).rejects.toMatchObject({ code: 'changed-since' });
    rmSync(join(vm, 'a.vmx'));
    expect(await settle()).toEqual([{ label: 'test', request: 'r', outcome: 'finished' }]);
    expect(readdirSync(vm).sort()).toEqual(['a.vmx', 'b']);
    expect(readFileSync(join(vm, 'a.vmx'), 'utf8')).toBe('new');
  });
});

// The commands that examine, as a user runs them: JSON against the schemas, exit codes, and nothing changed.
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/core/finding.ts';
import type { ReportFacts, ReportSlackItem } from '../../src/examine/report-facts.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { buildMachine, hashesIn, type MachineModel, type ModelPoint } from '../support/machine-model.ts';

let root: string;
let remove: () => Promise<void>;
let machine: MachineModel;
const store = createNodeFileStore();
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

beforeAll(async () => {
  buildCommand();
  ({ folder: root, remove } = await temporaryFolder());
  machine = await buildMachine(store, join(root, 'golden'), { nodes: ['scsi0:0', 'sata0:1'] });
  await mkdir(join(root, 'out'));
});
afterAll(() => remove());

describe('the commands that examine', () => {
  it('hash all disks of a machine at a snapshot, and each link and file', async () => {
    const before = await machine.hashes();
    const args = ['hash', machine.vmxPath, '--at', 'patched', '--per-link', '--algo', 'sha256,md5', '--json'];
    const documents = JSON.parse(await quietly(args)) as {
      disk: string;
      merged: { sha256: string };
      links: { files: { filename: string; sha256: string }[] }[];
    }[];
    for (const document of documents) expectValid('hash', document);
    expect(documents.map(({ disk, merged }) => [disk, merged.sha256])).toEqual(
      (['scsi0:0', 'sata0:1'] as const).map((node) => [node, sha256(machine.contentsAt(2, node))]),
    );
    const files = documents.flatMap(({ links }) => links.flatMap((link) => link.files));
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) expect(file.sha256).toBe(before.get(basename(file.filename)));
    expect(await hashesIn(store, machine.folder)).toEqual(before);
  });

  it('tell which link answers, and since which snapshot', async () => {
    const disk = machine.diskAt('running', 'scsi0:0');
    const answer = await json<{ 'answered-by': number; links: object[] }>('which', ['which', disk, '200s']);
    expect(answer['answered-by']).toBe(1);
    expect(answer.links).toMatchObject([
      { state: 'absent', 'written-since': { uid: 3 }, running: true },
      { state: 'data', 'written-since': { uid: 1 }, 'unchanged-since': { uid: 3 }, running: false },
      { state: 'data', 'unchanged-since': { uid: 1 } },
    ]);
    const text = await quietly(['which', disk, '0x19000']);
    expect(text).toMatch(/^sector 200, byte 102,400 \(0x19000\): link 1, byte /);
    expect(text).toContain(
      'link 1: written since uid:1 "installed" of 2026-03-01T12:00:00.000Z; as it is since uid:3',
    );
  });

  it('put what has a time into one order', async () => {
    const { events } = await json<{ events: { time: string; kind: string }[] }>('timeline', [
      'timeline',
      machine.vmxPath,
    ]);
    const times = events.map(({ time }) => time.slice(0, 19));
    expect(times).toEqual([...times].sort());
    expect(events.filter(({ kind }) => kind === 'snapshot').length).toBe(3);
  });

  it('tell the history of one state: its links, and the snapshots of its branch', async () => {
    const told = async (...args: string[]): Promise<string[][]> => {
      const { events } = await json<{ events: { kind: string; text: string }[] }>('timeline', [
        'timeline',
        ...args,
      ]);
      const named = (kind: string, pattern: RegExp): string[] => [
        ...new Set(
          events.filter((each) => each.kind === kind).map(({ text }) => pattern.exec(text)?.[0] ?? ''),
        ),
      ];
      const disks = named('modified', /^\S+\.vmdk(?=.*CID )/).filter((name) => name !== '');
      return [named('snapshot', /uid:\d+/), disks.sort()];
    };
    const own = (...points: ModelPoint[]): string[] =>
      points.map((point) => basename(machine.diskAt(point, 'scsi0:0'))).sort();
    const patched = await told(machine.vmxPath, '--at', 'patched', '--disk', 'scsi0:0');
    expect(patched).toEqual([['uid:1', 'uid:2'], own(1, 2)]);
    const running = await told(machine.diskAt('running', 'scsi0:0'), '--at', 'running');
    expect(running).toEqual([['uid:1', 'uid:3'], own(1, 3, 'running')]);
    const both = await told(machine.vmxPath, '--at', 'index:0');
    const second = basename(machine.diskAt(1, 'sata0:1'));
    expect(both).toEqual([['uid:1'], [...own(1), second].sort()]);
  });

  it('list slack and extract it, apart from the evidence', async () => {
    const disk = machine.diskAt('running', 'scsi0:0');
    const inside = await vmdkit(['slack', disk, '--extract', join(machine.folder, 'slack')]);
    expect(inside.code).toBe(4);
    const found = await json<{ items: { sha256: string; extracted: string }[] }>('slack', [
      'slack',
      disk,
      '--extract',
      join(root, 'out', 'slack'),
    ]);
    for (const { sha256: digest, extracted } of found.items)
      expect(sha256(await readFile(extracted))).toBe(digest);
  });

  it('tell what contradicts itself: here files younger than the snapshots that froze them', async () => {
    const { stdout, code } = await vmdkit(['signs', machine.vmxPath, '--json']);
    const { signs } = JSON.parse(stdout.toString()) as { signs: { code: string }[] };
    expectValid('signs', { schema: 'vmdkit-signs/v1', signs });
    expect(code).toBe(1);
    expect([...new Set(signs.map((each) => each.code))]).toContain('SIGN-WRITTEN-LATER');
  });

  it('report on all disks at a snapshot, with what signs and slack find there', async () => {
    const nodes = ['scsi0:0', 'sata0:1'] as const;
    const evidence = await buildMachine(store, join(root, 'tampered'), { name: 'tampered', nodes });
    const extent = join(evidence.folder, 'tampered-s001.vmdk');
    await appendFile(extent, Buffer.alloc(64 << 10, 'left behind '));
    const page = join(root, 'out', 'report.html');
    const args = ['report', evidence.vmxPath, '--at', 'patched', '-o', page, '-q'];
    const facts = await json<ReportFacts>('report', args);
    expect(facts.arguments).toEqual(['report', evidence.vmxPath, '--at', 'patched']);
    expect(facts.disks.map(({ name, at, hashes }) => [name, at, hashes?.['sha256']])).toEqual(
      nodes.map((node) => [
        node,
        'uid:2 "patched" of 2026-03-02T12:00:00.000Z',
        sha256(evidence.contentsAt(2, node)),
      ]),
    );
    expect(facts.files.map(({ filename }) => basename(filename))).not.toContain(
      basename(evidence.diskAt('running', 'scsi0:0')),
    );
    const html = await readFile(page, 'utf8');
    expect(html).toContain('As it was at uid:2 &quot;patched&quot; of');
    const signs = await vmdkit(['signs', evidence.vmxPath, '--at', 'patched', '--json']);
    const signed = (JSON.parse(signs.stdout.toString()) as { signs: Finding[] }).signs;
    const found = [...facts.machine!.findings, ...facts.disks.flatMap(({ findings }) => findings)];
    expect(signed.length).toBeGreaterThan(0);
    for (const sign of signed) expect(found).toContainEqual(sign);
    expect(html).toContain(signed[0]!.code);
    for (const { name, slack } of facts.disks) {
      const { items } = await json<{ items: ReportSlackItem[] }>('slack', [
        'slack',
        evidence.vmxPath,
        '--at',
        'patched',
        '--disk',
        name,
      ]);
      expect(slack!.kinds.reduce((sum, { count }) => sum + count, 0)).toBe(items.length);
      for (const item of slack!.items) expect(items).toContainEqual(item);
      for (const item of slack!.items) expect(html).toContain(item.sha256);
    }
    expect(facts.disks[0]!.slack!.items).toMatchObject([{ kind: 'unreferenced', filename: extent }]);
    const quick = ['report', evidence.vmxPath, '--disk', 'sata0:1', '--hashes', 'none'];
    const { disks } = await json<ReportFacts>('report', quick);
    expect(disks.map(({ name, at, slack }) => [name, at, slack])).toEqual([
      ['sata0:1', 'running', undefined],
    ]);
  });
});

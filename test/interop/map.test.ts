// `vmdkit map` and `vmdkit info` against qemu-img on the same disks: what both print must agree, key by key.
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DiskReport } from '../../src/operations/describe-disk.ts';
import { buildCommand, json, temporaryFolder } from '../support/command.ts';
import { describeWithPeer, type Peer } from '../support/peer-tools.ts';
import { QEMU_SUBFORMATS, seededNumbers } from '../support/qemu-images.ts';

interface Run {
  start: number;
  length: number;
  depth: number;
  present: boolean;
  zero: boolean;
  data: boolean;
  offset?: number;
  filename?: string;
}

const MIB = 1 << 20;
const SIZE = 96 * MIB;

describeWithPeer(['qemu-img', 'qemu-io'], 'map and info beside qemu-img', (peers) => {
  const qemuImg = peers['qemu-img'];
  let folder: string;
  let remove: () => Promise<void>;

  beforeAll(() => buildCommand());
  beforeEach(async () => ({ folder, remove } = await temporaryFolder()));
  afterEach(() => remove());

  const fill = async (path: string, seed: number): Promise<void> => {
    const next = seededNumbers(seed);
    const commands = Array.from({ length: 25 }, () => {
      const at = next(SIZE / 65_536) * 65_536 + (next(2) === 0 ? 0 : next(64) * 512);
      const length = Math.min(1 + next(300), (SIZE - at) / 512) * 512;
      return `write -P ${1 + next(250)} ${at} ${length}`;
    });
    await peers['qemu-io'].ok(commands.flatMap((command) => ['-c', command]).concat(path));
  };

  const compareMaps = async (path: string): Promise<Run[]> => {
    // Quietly: QEMU may leave bytes of an older descriptor behind the text, which we warn of.
    const ours = await json<Run[]>('map', ['map', path, '-q']);
    const theirs = JSON.parse(await qemuImg.ok(['map', '--output', 'json', path])) as Run[];
    expect(comparable(ours)).toEqual(comparable(theirs));
    return ours;
  };

  it.each(QEMU_SUBFORMATS)('agree on a disk and a delta of %s', async (subformat) => {
    const base = join(folder, 'base.vmdk');
    const delta = join(folder, 'delta.vmdk');
    await qemuImg.ok(['create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, base, String(SIZE)]);
    await fill(base, 1);
    await compareMaps(base);
    await qemuImg.ok(['create', '-q', '-f', 'vmdk', '-b', base, '-F', 'vmdk', delta]);
    await fill(delta, 2);
    const ours = await compareMaps(delta);
    expect(new Set(ours.filter(({ data }) => data).map(({ depth }) => depth))).toEqual(new Set([0, 1]));
    for (const path of [base, delta]) await compareInfo(qemuImg, path);
  });

  it('agree on a chain of eight, and on the file behind each run', async () => {
    const path = (link: number): string => join(folder, `link-${link}.vmdk`);
    await qemuImg.ok(['create', '-q', '-f', 'vmdk', path(0), String(SIZE)]);
    await fill(path(0), 10);
    for (let link = 1; link < 8; link++) {
      await qemuImg.ok(['create', '-q', '-f', 'vmdk', '-b', path(link - 1), '-F', 'vmdk', path(link)]);
      await fill(path(link), 10 + link);
    }
    const ours = await compareMaps(path(7));
    for (const { data, depth, filename } of ours) {
      if (data) expect(basename(filename ?? '')).toBe(`link-${7 - depth}.vmdk`);
    }
    const table = await qemuImg.ok(['map', path(7)]);
    const rows = table
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
    const places = ours.flatMap(({ data, start, length, offset, filename }) =>
      data ? [[start, length, offset ?? 0].map((value) => hex(value)).concat(basename(filename ?? ''))] : [],
    );
    expect(places).toEqual(
      rows.map(([start, length, at, file]) => [start, length, at, basename(file ?? '')]),
    );
  });

  it('agree on zero grains above data, and on compressed grains', async () => {
    const base = join(folder, 'base.vmdk');
    const delta = join(folder, 'delta.vmdk');
    const zeroed = ['-o', 'zeroed_grain=on'];
    await qemuImg.ok(['create', '-q', '-f', 'vmdk', ...zeroed, base, String(SIZE)]);
    await fill(base, 3);
    await qemuImg.ok(['create', '-q', '-f', 'vmdk', ...zeroed, '-b', base, '-F', 'vmdk', delta]);
    await peers['qemu-io'].ok(['-c', 'write -z 0 48M', '-c', 'write -P 9 1M 64k', delta]);
    const ours = await compareMaps(delta);
    expect(ours.some(({ present, zero, depth }) => present && zero && depth === 0)).toBe(true);
    const stream = join(folder, 'stream.vmdk');
    const format = ['-f', 'vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized'];
    await qemuImg.ok(['convert', ...format, base, stream]);
    await compareMaps(stream);
    await compareInfo(qemuImg, stream);
    await rm(stream);
  });
});

/** One run per stretch that both tell alike. */
function comparable(runs: readonly Run[]): Run[] {
  const merged: Run[] = [];
  for (const run of runs) {
    // A hole of a flat extent is data that reads as zeros to QEMU, zeros to us.
    const place = run.data && !run.zero && run.offset !== undefined ? { offset: run.offset } : {};
    const { start, length, depth, present, zero } = run;
    const next = { start, length, depth, present, zero, data: run.data && !zero, ...place };
    const last = merged.at(-1);
    if (last !== undefined && sameKind(last, next)) last.length += length;
    else merged.push(next);
  }
  return merged;
}

function sameKind(a: Run, b: Run): boolean {
  const follows = a.offset === undefined ? b.offset === undefined : b.offset === a.offset + a.length;
  return a.depth === b.depth && a.present === b.present && a.zero === b.zero && a.data === b.data && follows;
}

/** QEMU leaves the prefix away from zero. */
function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

interface Extent {
  'virtual-size': number;
  'cluster-size'?: number;
  compressed?: boolean;
  filename: string;
}

async function compareInfo(qemuImg: Peer, path: string): Promise<void> {
  const ours = await json<DiskReport>('info', ['info', path]);
  const theirs = JSON.parse(await qemuImg.ok(['info', '--output', 'json', path])) as DiskReport;
  const facts = (report: DiskReport): unknown => ({
    format: report.format,
    size: report['virtual-size'],
    cluster: report['cluster-size'],
    dirty: report['dirty-flag'],
    backing: report['backing-filename'],
    full: report['full-backing-filename'],
    cid: report['format-specific'].data.cid,
    parentCid: report['format-specific'].data['parent-cid'],
    type: report['format-specific'].data['create-type'],
    extents: (report['format-specific'].data.extents as unknown as Extent[]).map((extent) => [
      extent['virtual-size'],
      extent['cluster-size'],
      extent.compressed ?? false,
      basename(extent.filename),
    ]),
  });
  expect(facts(ours)).toEqual(facts(theirs));
}

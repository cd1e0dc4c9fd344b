// `npm run bench`: qemu-img and vmdkit on the same files, alternating, in one run; ratios, never absolute times.
// Writes docs/performance.md, anew after each case, so that a run that is stopped leaves what it measured. `--quick` uses
// a small disk and few rounds: to see that it works, not to judge by. `--rounds N` is for machines that are slow, and
// `--only REGEXP` for a few cases, by their titles; the page is written only of whole runs with the large disk.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchCases } from './cases.js';
import { makeImages, run } from './images.js';
import { makeServedImages } from './serving.js';

const quick = process.argv.includes('--quick');
const rounds = Number(valueOf('--rounds') ?? (quick ? 3 : 5));
const only = valueOf('--only');
/** A case that has taken this long is not run more than three times. */
const LONG_MS = 20_000;
const sizeMiB = quick ? 512 : 8192;
const pageFile = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-bench-'));

try {
  const peer = String(run('qemu-img', ['--version']).stdout).split('\n')[0];
  console.log(`making a disk of ${sizeMiB} MiB and a chain of 32 over it in ${folder}`);
  await makeImages(folder, sizeMiB, 32);
  await makeServedImages(folder, quick);
  const rows = [];
  for (const each of await benchCases(folder, sizeMiB)) {
    if (only !== undefined && !new RegExp(only).test(each.title)) continue;
    const row = measure(each);
    rows.push(row);
    console.log(
      `${row.title}: ${row.ratio.toFixed(1)} (asked for ${row.target}, most ${most(row.peerMs, row.leastMs)?.toFixed(1) ?? 'unknown'}, start aside ${row.aside.toFixed(1)})`,
    );
    if (!quick && only === undefined) writeFileSync(pageFile, page(rows, peer));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function valueOf(option) {
  const at = process.argv.indexOf(option);
  return at < 0 ? undefined : process.argv[at + 1];
}

/** Medians of alternating runs (undefined for a side that is not there), after one of each that is not counted; of three where runs are long. */
function measure({ title, target, starts = true, prepare, peer, ours, least, done }) {
  const times = { peer: [], ours: [], least: [], bare: [] };
  const bare = starts ? () => run(process.execPath, ['-e', '0']) : undefined;
  const begun = performance.now();
  for (let round = -1; round < rounds; round++) {
    if (round >= 3 && performance.now() - begun > LONG_MS) break;
    for (const [side, work] of [
      ['peer', peer],
      ['ours', ours],
      ['least', least],
      ['bare', bare],
    ]) {
      if (work === undefined) continue;
      if (side !== 'bare') prepare?.(side);
      const start = performance.now();
      work();
      if (round >= 0) times[side].push(performance.now() - start);
    }
  }
  done?.();
  const [peerMs, oursMs, leastMs, bareMs] = [times.peer, times.ours, times.least, times.bare].map(median);
  const aside = peerMs / (oursMs - (bareMs ?? 0));
  return { title, target, peerMs, oursMs, leastMs, bareMs, ratio: peerMs / oursMs, aside };
}

/** The ratio that a program would have that took no more than the least; undefined where that is not measured. */
function most(peerMs, leastMs) {
  return leastMs === undefined ? undefined : peerMs / leastMs;
}

function seconds(ms) {
  return ms === undefined ? '–' : (ms / 1000).toFixed(2);
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** How much longer the one takes than the other; undefined while either is not measured. */
function relative(rows, deep, shallow) {
  const of = (title) => rows.find((row) => row.title.endsWith(title))?.oursMs;
  return of(shallow) === undefined || of(deep) === undefined ? undefined : of(deep) / of(shallow);
}

function page(rows, peer) {
  const bare = median(rows.flatMap(({ bareMs }) => bareMs ?? []));
  const depth = relative(rows, 'random reads of 4 KiB, depth 32', 'random reads of 4 KiB, depth 1');
  const lines = rows.map(
    ({ title, target, peerMs, oursMs, leastMs, ratio, aside }) =>
      `| ${title} | ${seconds(peerMs)} | ${seconds(oursMs)} | ${seconds(leastMs)} | ${ratio.toFixed(1)} | ${aside.toFixed(1)} | ${most(peerMs, leastMs)?.toFixed(1) ?? '–'} | ${target === 0 ? '–' : `≥ ${target}`} |`,
  );
  const short = rows.filter(({ ratio, target }) => ratio < target);
  const titles = (list) => (list.length === 0 ? 'nothing' : list.map(({ title }) => title).join('; '));
  const outOfReach = ({ peerMs, leastMs, target }) => most(peerMs, leastMs) < target;
  const byStart = (row) => !outOfReach(row) && row.aside >= row.target;
  return `# Performance

Written by \`npm run bench\`. Each row is the median of ${rounds} runs on either side (three where they are long), alternating, with a warm page cache;
whole processes are measured, so ours includes the start of Node; of servers, what their clients wait for. Before each
conversion as much memory as it fills is used and freed: what a host took back would be paid for by whoever comes first. Ratio = the peer's time / ours: above 1 we are
faster. Seconds mean nothing on another machine; ratios do.

Least = what cannot be done without, measured in the same rounds: bare Node that reads the data of the disk, or copies it
to a new file, by a list of places made beforehand; bare Node that makes as many reads at known places in one file; the bare
start of Node for map and compare; half of the compressing, or of the inflating and writing, on one core, for streams; nbdkit with a raw file for
nbdcopy. Most = the peer's time / least: no program on Node gets there.

Start aside = the ratio without what Node takes to start and do nothing, measured in the same rounds: here ${seconds(bare)} s. What
was asked for was set where that took 0.06 s; where it takes longer, while the peer starts as fast as ever, the same
work shows as less in the ratio of the short rows.

Node ${process.version}, ${peer}, ${cpus().length} cores. A virtual disk of ${sizeMiB / 1024} GiB, about a third of it data, as
monolithicSparse; chains over it have 600 scattered 64 KiB grains in every link. What is compressed are files of many
kinds: this project's packages and Node itself.

| Work | peer (s) | vmdkit (s) | least (s) | ratio | start aside | most | asked for |
| --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

Random reads at depth 32 take ${depth?.toFixed(1) ?? '–'} times as long as at depth 1 (asked for: at most 1.5), start of Node included.

Short of what was asked for in this run: ${titles(short.filter((row) => !outOfReach(row) && !byStart(row)))}.

Short of it by the start of Node alone: ${titles(short.filter(byStart))}.

Short of it, and out of reach here, since even the least takes longer: ${titles(short.filter(outOfReach))}.
`;
}

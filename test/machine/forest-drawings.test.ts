// A forest drawn for other programs: DOT, Mermaid and SVG that hold whatever names strangers gave.
import { beforeEach, describe, expect, it } from 'vitest';
import type { Forest } from '../../src/machine/forest.ts';
import { forestAsDot, forestAsMermaid } from '../../src/machine/forest-graph.ts';
import { forestAsSvg } from '../../src/machine/forest-svg.ts';
import { MOST_RAILS, treeRows } from '../../src/machine/forest-tree.ts';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import {
  linkText,
  makeDatastore,
  makeFolders,
  vmxText,
  writeChain,
  writeText,
} from '../support/scan-model.ts';

/** Everything that means something in one of the languages, and to a terminal. */
const HOSTILE = `"];x->y{a}<script>alert('&')</script>\\n#quot;%%{init}|[(\`\u001b[31m]é漢`;
const sizeText = (bytes: number): string => `${bytes} B`;

let forest: Forest;
let hostile: Forest;

beforeEach(async () => {
  const store = createMemoryFileStore();
  await makeDatastore(store, '/ds');
  forest = await scanFolder('/ds', { fs: store });
  const odd = createMemoryFileStore();
  await makeFolders(odd, '/x');
  const name = HOSTILE.replaceAll('/', '∕');
  await writeText(odd, `/x/${name}.vmdk`, linkText('00000001'));
  await writeText(odd, '/x/child.vmdk', linkText('00000002', '00000009', `${name}.vmdk`));
  const quoted = HOSTILE.replaceAll('"', '|22').replaceAll('\u001b', '|1B');
  await writeText(odd, '/x/m.vmx', vmxText(quoted, { 'scsi0:0': 'child.vmdk' }));
  hostile = await scanFolder('/x', { fs: odd });
  expect(hostile.disks.map(({ fits }) => fits)).toContain(false);
});

describe('a drawing in DOT', () => {
  it('has a node for each disk and machine, and an edge from each to what it stands on', () => {
    const text = forestAsDot(forest);
    expect(text.split('\n').filter((line) => line.includes(' -> '))).toEqual([
      '  d0 -> d1 [style=solid];',
      '  d2 -> d1 [style=solid];',
      '  d3 -> d1 [style=solid];',
      '  m0 -> d0 [label="scsi0:0", style=solid];',
      '  m0 -> d1 [label="ready", style=dashed];',
      '  m1 -> d2 [label="scsi0:0", style=solid];',
      '  m2 -> d3 [label="scsi0:0", style=solid];',
    ]);
    expect(text).toContain('d1 [label="golden/golden.vmdk\\nvmfs", shape=box');
    expectDot(text);
  });

  it('keeps hostile names inside their quotes', () => {
    const text = forestAsDot(hostile);
    expectDot(text);
    expect(text).not.toMatch(/(?!\n)\p{Cc}/u);
    expect(text).toContain('CID does not fit');
  });
});

describe('a drawing in Mermaid', () => {
  it('has the same nodes and edges', () => {
    const lines = forestAsMermaid(forest).split('\n');
    expect(lines[0]).toBe('flowchart BT');
    expect(lines).toContain('  d1["golden/golden.vmdk<br/>vmfs"]:::base');
    expect(lines).toContain('  m1(["web-1"]):::clone');
    expect(lines).toContain('  m0 -.->|"ready"| d1');
    for (const line of lines) expectMermaid(line);
  });

  it('writes everything but plain words of hostile names as entities', () => {
    const text = forestAsMermaid(hostile);
    for (const line of text.split('\n')) expectMermaid(line);
    expect(text).not.toContain('script>');
    expect(text).toContain('#34;');
    expect(text).toContain('é漢');
  });
});

describe('a drawing in SVG', () => {
  it('has a box and a line for each disk, and says who uses it', () => {
    const text = forestAsSvg(forest, sizeText);
    expect(elementsOf(text).filter((name) => name === 'path')).toHaveLength(3);
    expect(elementsOf(text).filter((name) => name === 'rect')).toHaveLength(5);
    expect(text).toContain('>golden at &quot;ready&quot;</text>');
    expect(text).toContain('<title>4 disks and 3 machines below /ds</title>');
  });

  it('is well-formed with hostile names, and holds nothing that runs or loads', () => {
    const text = forestAsSvg(hostile, sizeText);
    const elements = new Set(elementsOf(text));
    expect([...elements].sort()).toEqual(['g', 'path', 'rect', 'style', 'svg', 'text', 'title']);
    expect(text).not.toMatch(/href|url\(|on\w+=|(?!\n)\p{Cc}/u);
    expect(text).toContain('class="misfit"');
  });

  it('is drawn for an empty forest too', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/none');
    expect(elementsOf(forestAsSvg(await scanFolder('/none', { fs: store }), sizeText))).toContain('svg');
  });
});

describe('the rows of a tree', () => {
  it('indent no further than is legible, however deep a chain is', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/deep');
    await writeChain(store, '/deep', 100);
    const rows = treeRows(await scanFolder('/deep', { fs: store }));
    expect(rows.map(({ depth }) => depth)).toEqual([...Array(100).keys()]);
    expect(Math.max(...rows.map(({ rails }) => rails.length))).toBeLessThanOrEqual(MOST_RAILS);
  });
});

/** Each line is one statement of the subset that is written: identifiers, quoted strings with escapes, attributes. */
function expectDot(text: string): void {
  const quoted = '"(?:[^"\\\\\\n]|\\\\.)*"';
  const attribute = `[a-z]+=(?:${quoted}|[a-z]+)`;
  const attributes = `\\[${attribute}(?:, ${attribute})*\\]`;
  const statement = new RegExp(
    `^(?:digraph vmdkit \\{|\\}||  rankdir=BT;|  (?:node|[dm]\\d+(?: -> [dm]\\d+)?) ${attributes};)$`,
  );
  for (const line of text.split('\n')) expect(line).toMatch(statement);
}

function expectMermaid(line: string): void {
  const quoted = '"(?:[\\p{L}\\p{N} ._/:()@-]|#\\d+;|<br/>)*"';
  const node = `[dm]\\d+(?:\\(\\[${quoted}\\]\\)|\\[${quoted}\\]):::[a-z]+`;
  const edge = `[dm]\\d+ (?:-->|-\\.->|==>)(?:\\|${quoted}\\|)? [dm]\\d+`;
  expect(line).toMatch(
    new RegExp(
      `^(?:|flowchart BT|  (?:${node}|${edge}|classDef [a-z]+ fill:#[0-9a-f]+|style [dm]\\d+ .*))$`,
      'u',
    ),
  );
}

/** Names of all elements, in order; fails for what is not well-formed XML. */
function elementsOf(text: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  const tokens = /<(\/?)([a-z]+)((?: [a-zA-Z]+="[^"<&]*")*)(\/?)>|((?:[^<&]|&(?:amp|lt|gt|quot|#39);)+)/y;
  while (tokens.lastIndex < text.length) {
    const at = tokens.lastIndex;
    const match = tokens.exec(text);
    if (match === null) expect.fail(`not well-formed at ${at}: ${text.slice(at, at + 60)}`);
    const [, closes, name, , single] = match;
    if (name === undefined) continue;
    if (closes === '/') expect(open.pop()).toBe(name);
    else {
      names.push(name);
      if (single !== '/') open.push(name);
    }
  }
  expect(open).toEqual([]);
  return names;
}

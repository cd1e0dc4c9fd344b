// A forest as a graph in the languages of other programs: DOT for Graphviz, Mermaid for Markdown. Rule: names in the
// files are strangers' words: they stand only inside quotes, with everything escaped that means something there.
import { showText } from '../format/plain-text.ts';
import type { Forest, ForestDisk } from './forest.ts';
import { gravestOf, nameInForest } from './forest-tree.ts';

interface GraphNode {
  readonly id: string;
  readonly kind: 'base' | 'delta' | 'machine' | 'clone';
  readonly label: readonly string[];
  readonly grave?: 'error' | 'warning';
}

interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly label: string;
  readonly style: 'solid' | 'dashed' | 'bold';
}

interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

const FILL = { base: '#dbeafe', delta: '#f1f5f9', machine: '#dcfce7', clone: '#fef9c3' } as const;
const STROKE = { none: '#475569', warning: '#b45309', error: '#b91c1c' } as const;

/** A drawing for `dot -Tsvg`. */
export function forestAsDot(forest: Forest): string {
  const { nodes, edges } = graphOf(forest);
  const lines = nodes.map(({ id, kind, label, grave }) => {
    const shape = kind === 'machine' || kind === 'clone' ? 'ellipse' : 'box';
    const text = label.map(dotText).join('\\n');
    return `  ${id} [label="${text}", shape=${shape}, style=filled, fillcolor="${FILL[kind]}", color="${STROKE[grave ?? 'none']}"];`;
  });
  const arrows = edges.map(({ from, to, label, style }) => {
    const said = label === '' ? '' : `label="${dotText(label)}", `;
    return `  ${from} -> ${to} [${said}style=${style}];`;
  });
  const head = ['digraph vmdkit {', '  rankdir=BT;', '  node [fontname="sans-serif"];'];
  return `${[...head, ...lines, ...arrows, '}'].join('\n')}\n`;
}

/** A drawing for Markdown that knows Mermaid. */
export function forestAsMermaid(forest: Forest): string {
  const { nodes, edges } = graphOf(forest);
  const lines = nodes.map(({ id, kind, label }) => {
    const text = `"${label.map(mermaidText).join('<br/>')}"`;
    return `  ${id}${kind === 'machine' || kind === 'clone' ? `([${text}])` : `[${text}]`}:::${kind}`;
  });
  const arrows = edges.map(({ from, to, label, style }) => {
    const arrow = style === 'dashed' ? '-.->' : style === 'bold' ? '==>' : '-->';
    return `  ${from} ${arrow}${label === '' ? '' : `|"${mermaidText(label)}"|`} ${to}`;
  });
  const classes = Object.entries(FILL).map(([kind, fill]) => `  classDef ${kind} fill:${fill}`);
  const grave = nodes.flatMap((node) =>
    node.grave === undefined ? [] : [`  style ${node.id} stroke:${STROKE[node.grave]},stroke-width:2px`],
  );
  return `${['flowchart BT', ...lines, ...arrows, ...classes, ...grave].join('\n')}\n`;
}

function graphOf(forest: Forest): Graph {
  const ids = new Map(forest.disks.map(({ path }, index) => [path, `d${index}`]));
  const nodes: GraphNode[] = forest.disks.map((disk) => diskNode(forest, disk, ids.get(disk.path)!));
  const edges: GraphEdge[] = [];
  for (const { path, parent, foundBy, fits } of forest.disks) {
    if (parent === undefined) continue;
    const label = fits === false ? 'CID does not fit' : foundBy === 'cid' ? 'by CID' : '';
    const style = fits === false ? 'bold' : foundBy === 'cid' ? 'dashed' : 'solid';
    edges.push({ from: ids.get(path)!, to: ids.get(parent)!, label, style });
  }
  for (const [index, machine] of forest.machines.entries()) {
    const id = `m${index}`;
    const kind = machine.linkedClone ? 'clone' : 'machine';
    nodes.push({ id, kind, label: [machine.name] });
    for (const { node, path } of machine.disks)
      if (path !== undefined) edges.push({ from: id, to: ids.get(path)!, label: node, style: 'solid' });
    for (const { name, disks } of machine.snapshots)
      for (const { path } of disks)
        if (path !== undefined) edges.push({ from: id, to: ids.get(path)!, label: name, style: 'dashed' });
  }
  return { nodes, edges };
}

function diskNode(forest: Forest, disk: ForestDisk, id: string): GraphNode {
  const grave = gravestOf(disk);
  return {
    id,
    kind: disk.delta ? 'delta' : 'base',
    label: [nameInForest(forest, disk.path), disk.createType],
    ...(grave === undefined ? {} : { grave }),
  };
}

/** Inside the quotes of DOT a backslash begins an escape. */
function dotText(text: string): string {
  return showText(text.replace(/\p{Surrogate}/gu, '\ufffd'))
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"');
}

/** Mermaid takes numeric entities without the ampersand; everything but plain words becomes one. */
function mermaidText(text: string): string {
  return showText(text.replace(/\p{Surrogate}/gu, '\ufffd')).replace(
    /[^\p{L}\p{N} ._/:()@-]/gu,
    (character) => `#${character.codePointAt(0)!};`,
  );
}

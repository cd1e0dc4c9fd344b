// Which links go with a snapshot, which become one, and which stay: the plan alone, over drawn trees.
import { describe, expect, it } from 'vitest';
import { planConsolidation, type PlanLink } from '../../src/machine/consolidation-plan.ts';

/** `b<1<2` draws a chain, base first; a name that ends in `!` is somebody else's, in `?` has a stranger above it. */
function tree(...chains: string[]): Map<string, PlanLink> {
  const links = new Map<string, PlanLink>();
  for (const chain of chains) {
    let parent: string | undefined;
    for (const word of chain.split('<')) {
      const id = word.replace(/[!?]$/, '');
      if (!links.has(id)) {
        const strangers = word.endsWith('?') ? ['/else/disk.vmdk'] : [];
        links.set(id, { id, parent, own: !word.endsWith('!'), numbered: /\d/.test(id), strangers });
      }
      parent = id;
    }
  }
  return links;
}

const plan = (links: Map<string, PlanLink>, points: string, doomed: string) =>
  planConsolidation(links, new Set(points.split(' ')), doomed.split(' '));

describe('the plan of a consolidation', () => {
  it('merges the link of a snapshot in the middle into the one above, which keeps its name', () => {
    expect(plan(tree('b<1<2'), '2 b', '1')).toEqual({
      removed: [],
      merges: [{ links: ['2', '1'], into: 'top', parent: 'b' }],
      kept: [],
    });
  });

  it('merges into the base when the base loses its snapshot', () => {
    expect(plan(tree('b<1<2'), '1 2', 'b').merges).toEqual([
      { links: ['1', 'b'], into: 'bottom', parent: undefined },
    ]);
  });

  it('merges a whole run at once', () => {
    expect(plan(tree('b<1<2<3'), '3', 'b 1 2').merges).toEqual([
      { links: ['3', '2', '1', 'b'], into: 'bottom', parent: undefined },
    ]);
    expect(plan(tree('b<1<2<3'), 'b 3', '2 1').merges).toEqual([
      { links: ['3', '2', '1'], into: 'top', parent: 'b' },
    ]);
  });

  it('keeps a link that two stand on', () => {
    expect(plan(tree('b<1<2', 'b<1<3'), 'b 2 3', '1')).toEqual({
      removed: [],
      merges: [],
      kept: [{ id: '1', reason: 'shared' }],
    });
  });

  it('removes what nobody reads, and merges what only that had kept', () => {
    expect(plan(tree('b<1<2', 'b<1<3'), 'b 3', '2')).toEqual({
      removed: ['2'],
      merges: [{ links: ['3', '1'], into: 'top', parent: 'b' }],
      kept: [],
    });
    expect(plan(tree('b<1<2', 'b<3'), 'b 3', '1 2').removed).toEqual(['2', '1']);
  });

  it('keeps what is named, whoever else is not', () => {
    expect(plan(tree('b<1<2', 'b<1<3'), 'b 1 3', '2')).toEqual({ removed: ['2'], merges: [], kept: [] });
    expect(plan(tree('b<1'), 'b 1', 'b')).toEqual({ removed: [], merges: [], kept: [] });
  });

  it('never removes a base, nor touches what is not the machine’s own', () => {
    expect(plan(tree('b', 'c<1'), 'c 1', 'b').kept).toEqual([{ id: 'b', reason: 'base' }]);
    expect(plan(tree('g!<1<2'), '2', 'g')).toEqual({
      removed: [],
      merges: [],
      kept: [{ id: 'g', reason: 'not-own' }],
    });
  });

  it('merges the first own link of a linked clone without renaming it', () => {
    const links = tree('g!<clone<1');
    expect(plan(links, '1', 'clone').merges).toEqual([
      { links: ['1', 'clone'], into: 'bottom', parent: 'g' },
    ]);
  });

  it('keeps what a stranger stands on', () => {
    expect(plan(tree('b<1?<2'), 'b 2', '1').kept).toEqual([{ id: '1', reason: 'strangers' }]);
    expect(plan(tree('b<1?'), 'b', '1').kept).toEqual([{ id: '1', reason: 'strangers' }]);
    // The top would lose its name, by which the stranger knows it.
    expect(plan(tree('b<1?'), '1', 'b').kept).toEqual([{ id: 'b', reason: 'strangers', because: '1' }]);
    expect(plan(tree('b<1<2?'), 'b 2', '1').merges).toHaveLength(1);
  });
});

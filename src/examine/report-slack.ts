// The slack of a disk for its report: how much there is of each kind, and the first of it. Rule: what cannot be searched to
// its end says so, and does not keep the report from being made.
import type { Chain } from '../chain/chain.ts';
import { isVmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { openContext, type OpenOptions } from '../disk/open-options.ts';
import type { ReportSlack, ReportSlackItem } from './report-facts.ts';
import { findSlack, type SlackKind } from './slack.ts';

/** Items of one kind in the report; `vmdkit slack` has them all. */
const MOST_ITEMS = 20;

export async function reportSlack(chain: Chain, options: OpenOptions & TaskOptions): Promise<ReportSlack> {
  const kinds = new Map<SlackKind, { kind: SlackKind; count: number; bytes: number }>();
  const items: ReportSlackItem[] = [];
  const found = (): Pick<ReportSlack, 'kinds' | 'items'> => ({ kinds: [...kinds.values()], items });
  try {
    const { zeroBytes } = await findSlack(chain, {
      ...options,
      fs: openContext(options).store,
      onItem: ({ path, ...item }) => {
        const sum = kinds.get(item.kind) ?? { kind: item.kind, count: 0, bytes: 0 };
        sum.count++;
        sum.bytes += item.length;
        kinds.set(item.kind, sum);
        if (sum.count <= MOST_ITEMS) items.push({ filename: path, ...item });
        return Promise.resolve();
      },
    });
    return { ...found(), 'zero-bytes': zeroBytes };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { ...found(), 'zero-bytes': 0, problem: error.message.split('\n')[0]! };
  }
}

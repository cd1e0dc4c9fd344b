// Links between old and new: a merge into them was stopped, or a patch. Read through the disk that was being merged, such a
// link shows what it showed; read without it, or half patched, a mix that nobody ever had. Rule: no mix becomes the content of
// another disk, and what was being merged stays where it is until the merge is finished.
import { VmdkError } from '../core/errors.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { HALF_MERGED_KEY, HALF_PATCHED_KEY } from '../format/half-merged.ts';
import { showText } from '../format/plain-text.ts';
import { dirname, join } from '../storage/place-names.ts';

export interface MarkedLink {
  readonly path: string;
  readonly descriptor: Pick<Descriptor, 'ddb'>;
}

/** Path of the disk that was being merged into this one, as its mark names it; undefined where there is no mark. */
export function mergedFrom({ path, descriptor }: MarkedLink): string | undefined {
  const from = descriptor.ddb.get(HALF_MERGED_KEY);
  return from === undefined ? undefined : join(dirname(path), from);
}

/**
 * @param links top first, down to the base.
 * @throws VmdkError `half-merged`, `half-patched` (refused) when what they read as is a mix.
 */
export function assertNotMixed(links: readonly MarkedLink[]): void {
  for (const [index, link] of links.entries()) {
    if (link.descriptor.ddb.has(HALF_PATCHED_KEY)) throw halfPatched(link.path);
    const from = mergedFrom(link);
    if (from === undefined || links.slice(0, index).some(({ path }) => path === from)) continue;
    throw new VmdkError('refused', 'half-merged', 'a merge into this disk was stopped', {
      path: link.path,
      field: HALF_MERGED_KEY,
      found: `a mix of its own content and that of ${showText(from)}`,
      expected: 'a disk that is not between old and new',
      hint: wayOut(from, link.path),
    });
  }
}

/** What a change does to a link that is half merged, `into`, and to the link that was being merged into it. */
export interface MergeOutcome<Link> {
  /** The merge is ended, or the link goes with all that reads it. */
  readonly over: (into: Link, from: Link) => boolean;
  /** One of the two is no more, or does not stand on the other any more. */
  readonly parts: (into: Link, from: Link) => boolean;
}

/** @throws VmdkError `half-merged` (refused) when a link stays half merged that nothing could finish any more. */
export function assertMergesCanEnd<Link extends MarkedLink>(
  links: Iterable<Link>,
  { over, parts }: MergeOutcome<Link>,
): void {
  const all = [...links];
  for (const into of all) {
    const path = mergedFrom(into);
    const from = all.find((link) => link.path === path);
    if (from !== undefined && !over(into, from) && parts(into, from))
      throw mergeNotOver(from.path, into.path);
  }
}

/**
 * @param chain of a disk that is to stand elsewhere or to have another name; the disk first.
 * @throws VmdkError `half-merged` (refused) when what it reads as is a mix, or a disk below would stay one without it.
 */
export function assertMayLeave(chain: readonly MarkedLink[]): void {
  assertNotMixed(chain);
  assertMergesCanEnd(chain, { over: () => false, parts: (_into, from) => from === chain[0] });
}

/** Of a change that would take `from` away from `into`, which is half merged and stays. */
export function mergeNotOver(from: string, into: string): VmdkError {
  return new VmdkError('refused', 'half-merged', 'a merge of this disk into another was stopped', {
    path: from,
    found: `${showText(into)} is between old and new without it`,
    expected: 'a merge that is over',
    hint: wayOut(from, into),
  });
}

function wayOut(from: string, into: string): string {
  return `Finish the merge first by the command that began it, for example: vmdkit commit ${showText(from)} --into ${showText(into)} --in-place`;
}

function halfPatched(path: string): VmdkError {
  return new VmdkError('refused', 'half-patched', 'a patch onto this disk was stopped', {
    path,
    field: HALF_PATCHED_KEY,
    found: 'a mix of what it was and of what the patch makes of it',
    expected: 'a disk that is not between old and new',
    hint: `Put the same patch onto it again: vmdkit apply PATCH ${showText(path)}`,
  });
}

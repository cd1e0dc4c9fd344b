// Paths as people read them: from the current folder where that is shorter, else whole.
import { relative } from 'node:path';
import { isUrl } from '../storage/place-names.ts';
import { showText } from '../format/plain-text.ts';

/** Control characters in a name are shown as `\xHH`; an operand that a shell takes stays one. */
export function shownPath(path: string): string {
  if (isUrl(path)) return showText(path);
  const below = relative(process.cwd(), path);
  return showText(below !== '' && !below.startsWith('..') ? below : path);
}

// Which texts may be written between quotes. Rule: nothing that would need VMware's |HH escapes, since nobody else
// undoes them; such names are refused, not bent. And how foreign text is shown in a message.
import { VmdkError } from '../core/errors.ts';
import { encodeText } from './text-encoding.ts';

const NEEDS_ESCAPE = /["|\p{Cc}\p{Surrogate}]/u;

/**
 * The bytes of a value to be written between quotes.
 * @throws VmdkError `usage` `name-needs-escaping` or `name-not-encodable`.
 */
export function encodeValue(value: string, what: string, encoding = 'utf-8'): Buffer {
  const bad = NEEDS_ESCAPE.exec(value)?.[0];
  if (bad !== undefined) {
    const code = `U+${bad.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
    throw new VmdkError('usage', 'name-needs-escaping', `${what} cannot be written into a descriptor`, {
      field: what,
      found: `${JSON.stringify(value)} with ${code}`,
      expected: 'no quote, bar, control character or lone surrogate',
      hint: 'Choose a name without this character.',
    });
  }
  const encoded = encodeText(value, encoding);
  if (encoded !== undefined) return encoded;
  throw new VmdkError('usage', 'name-not-encodable', `${what} does not exist in the descriptor's encoding`, {
    field: what,
    found: JSON.stringify(value),
    expected: `characters of ${encoding}`,
    hint: 'Choose a name that this encoding can write.',
  });
}

const SHOWN_CHARACTERS = 120;

/** Foreign text as a message may show it: not longer than a line, and nothing a terminal would obey. */
export function showText(text: string): string {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return cut.replace(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

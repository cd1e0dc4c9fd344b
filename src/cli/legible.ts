// Foreign text for a terminal: names and hints come from files that anybody may have made, and must not be obeyed.

/** Control characters as `\xHH`; line ends and tabs stay. */
export function legible(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

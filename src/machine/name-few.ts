// A list of names for a message. Rule: a message stays readable whether one clone stands in the way or a thousand.

const MOST_NAMED = 8;

/** `a, b` or, of many, the first eight `and 992 more`. */
export function nameFew(names: readonly string[]): string {
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
  return `${names.slice(0, MOST_NAMED).join(', ')}${more}`;
}

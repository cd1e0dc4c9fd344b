// Foreign text in XML and HTML, of which it must never become a part.

/**
 * Marks escaped; characters that XML 1.0 does not allow, and those that turn the direction of what follows, are shown as
 * a replacement.
 */
export function xmlText(text: string): string {
  return text
    .replace(/(?![\n\t])\p{Cc}|\p{Surrogate}|[\ufffe\uffff\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

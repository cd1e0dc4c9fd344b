// The .vmxf beside a .vmx: XML that names the .vmx and may hold more of Workstation's. Rule: only the name changes;
// every other byte stays.
import { canonicalEncoding, encodeText } from './text-encoding.ts';

const NAME = /(<vmxPathName\b[^>]*>)([^<]*)(<\/vmxPathName>)/gi;

/** The file with `newName` (of the .vmx, no folder) as its vmxPathName; as it was when it names none. */
export function replaceVmxPathName(bytes: Uint8Array, newName: string): Buffer {
  const text = Buffer.from(bytes).toString('latin1');
  const declared = /^[^<]*<\?xml[^>]*\bencoding\s*=\s*["']([^"']+)["']/i.exec(text)?.[1] ?? 'UTF-8';
  const escaped = newName.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  const encoding = canonicalEncoding(declared) ?? 'utf-8';
  // What the encoding lacks, XML can always spell out.
  const name = encodeText(escaped, encoding) ?? Buffer.from(spelled(escaped));
  const written = text.replace(
    NAME,
    (_, open: string, __, close: string) => open + name.toString('latin1') + close,
  );
  return Buffer.from(written, 'latin1');
}

function spelled(text: string): string {
  return [...text]
    .map((character) => (character > '\u007f' ? `&#${character.codePointAt(0)};` : character))
    .join('');
}

// Content as disks have it, for what is compressed: text, scripts and programs. The files that this project's own packages
// consist of, and Node itself, one behind the other.
import { closeSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../node_modules', import.meta.url));

/** Writes `mebibytes` of it to `path`, from the start again where there is less. */
export function writeMixed(path, mebibytes) {
  const files = readdirSync(packages, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.cache'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const out = openSync(path, 'w');
  let left = mebibytes * 2 ** 20;
  while (left > 0) {
    for (const file of [...files, process.execPath]) {
      const content = readFileSync(file).subarray(0, left);
      left -= content.length;
      if (content.length > 0) writeSync(out, content);
    }
  }
  closeSync(out);
}

// What the file name of an extent line may mean. VMware for Windows writes `\` between parts, and all write `./` at
// times: where an extent lies is decided by the file that is found, never by how the line spells it. Names only, no I/O.

/** Each way to read the name as a path, likeliest first: as written, with slashes, with VMware's escapes undone. */
export function extentSpellings(fileName: string): string[] {
  return [...new Set([fileName, fileName.replaceAll('\\', '/'), unescapeBars(fileName)])];
}

/** Whether a line that says `fileName` means a file called `name`, in whatever folder. */
export function meansFileCalled(fileName: string | undefined, name: string): boolean {
  return extentSpellings(fileName ?? '').some((one) => one.slice(one.lastIndexOf('/') + 1) === name);
}

/** The last part of the name. */
export function extentBaseName(fileName: string): string {
  return fileName.slice(Math.max(fileName.lastIndexOf('/'), fileName.lastIndexOf('\\')) + 1);
}

/**
 * Undoes VMware's `|HH` escapes. Whether descriptors use them is not certain, so a name is taken as written first and
 * this is tried only when no such file exists.
 */
export function unescapeBars(text: string): string {
  return text.replace(/\|([0-9a-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

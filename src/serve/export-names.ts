// Names for files: the last part of each path, with as many folders before it as tell it from the others. Pure.

/** A name for each of `paths`, in their order. Equal paths get equal names. */
export function uniqueNames(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split('/'));
  const names = parts.map((each) => each.at(-1)!);
  for (let depth = 2; ; depth++) {
    const owners = new Map<string, Set<string>>();
    for (const [index, name] of names.entries()) {
      owners.set(name, (owners.get(name) ?? new Set()).add(paths[index]!));
    }
    const clashing = names.flatMap((name, index) =>
      owners.get(name)!.size > 1 && parts[index]!.length >= depth ? [index] : [],
    );
    if (clashing.length === 0) return names;
    for (const index of clashing) names[index] = parts[index]!.slice(-depth).join('/');
  }
}

// Where the fingerprint of a guarded disk lies: beside it, under a name that says what it belongs to.

/** `/ds/golden/golden.vmdk` → `/ds/golden/golden.vmdk.guard`. */
export function guardPathOf(disk: string): string {
  return `${disk}.guard`;
}

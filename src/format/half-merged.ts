// The marks of disks that are changed where they stand, keys of our own in the disk database: written before the first byte
// of data, taken away after the last. Whoever opens a disk that still has one knows that the change was stopped.

/**
 * Names the disk that is merged into this one, from the folder of the other. In lower case, as keys are looked up; programs that do not
 * know it leave it alone.
 */
export const HALF_MERGED_KEY = 'ddb.vmdkit.merging';

/** Holds what the patch that is put over the disk makes of it: the hash of its contents, in hexadecimal. */
export const HALF_PATCHED_KEY = 'ddb.vmdkit.patching';

// The mark of a disk that another is merged into where it stands, a key of our own in its disk database: written before the
// first byte of data, taken away with the last. Whoever opens a disk that still has it knows that the merge was stopped.

/**
 * Names the disk that is merged, from the folder of the other. In lower case, as keys are looked up; programs that do not
 * know it leave it alone.
 */
export const HALF_MERGED_KEY = 'ddb.vmdkit.merging';

// Where a shadow came from, in keys of our own in its disk database: programs that do not know them leave them alone.
import { printCid } from './content-id.ts';
import type { Descriptor } from './descriptor.ts';

/** Whose content a disk had when it was made. */
export interface Lineage {
  /** As it was named then: from the folder of the shadow, or absolute. */
  readonly path: string;
  /** Its CID then, 8 hex digits. */
  readonly cid: string;
}

const SHADOW_OF = 'ddb.vmdkit.shadowOf';
const SHADOW_CID = 'ddb.vmdkit.shadowOfCID';

/** The keys and their values. */
export function lineageKeys(path: string, cid: number): Record<string, string> {
  return { [SHADOW_OF]: path, [SHADOW_CID]: printCid(cid) };
}

/** What a descriptor says of its origin; undefined for what is no shadow. */
export function lineageOf({ ddb }: Pick<Descriptor, 'ddb'>): Lineage | undefined {
  const [path, cid] = [SHADOW_OF, SHADOW_CID].map((key) => ddb.get(key.toLowerCase()));
  return path === undefined || cid === undefined ? undefined : { path, cid };
}

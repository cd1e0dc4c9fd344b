// Which link answers a sector, where its bytes lie, and what every link below had there. Rule: from the maps of the links;
// only the one sector is read, of each link that has it.
import { createHash } from 'node:crypto';
import { sectorRange } from '../block/sector-range.ts';
import type { Chain } from '../chain/chain.ts';
import { isVmdkError, usageError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';

export interface LinkSector {
  /** 0 is the leaf. */
  readonly depth: number;
  /** Real path of the descriptor, or of the file that holds it. */
  readonly path: string;
  /** Equal for two links exactly when they are the same file. */
  readonly identity: string;
  readonly state: 'absent' | 'zero' | 'data' | 'lost';
  /** Of data: the file, and the byte there; of a compressed grain, the byte at which the grain begins. */
  readonly file?: string;
  readonly offset?: number;
  readonly compressed?: boolean;
  /** SHA-256 of the sector as this link has it; missing where it has none, or where it cannot be read. */
  readonly sha256?: string;
  /** Why it cannot be read. */
  readonly problem?: string;
}

export interface SectorAnswer {
  readonly sector: number;
  /** Depth of the link that answers; missing when none has it: then the sector reads as zeros, or is lost with a parent. */
  readonly answeredBy?: number;
  /** SHA-256 of what the disk reads as here; missing when that cannot be read. */
  readonly sha256?: string;
  /** Leaf first, all links. */
  readonly links: readonly LinkSector[];
}

/** @throws VmdkError `usage` when there is no such sector. */
export async function whichLink(chain: Chain, sector: number): Promise<SectorAnswer> {
  if (sector >= chain.capacity) {
    const last = chain.capacity - 1;
    throw usageError(
      `the disk has no sector ${sector}`,
      `Its last one is ${last}, at byte ${last * SECTOR_BYTES}.`,
    );
  }
  const links: LinkSector[] = [];
  for (const [depth, link] of chain.links.entries()) links.push(await sectorOf(link, depth, sector));
  const answering = links.find(({ state }) => state !== 'absent');
  const lost = answering === undefined && chain.lostParent !== undefined;
  const { sha256 } = lost ? {} : await hashOf(chain, sector);
  return {
    sector,
    ...(answering === undefined ? {} : { answeredBy: answering.depth }),
    ...(sha256 === undefined ? {} : { sha256 }),
    links,
  };
}

async function sectorOf(link: Disk, depth: number, sector: number): Promise<LinkSector> {
  const base = { depth, path: link.path, identity: link.identity };
  // A smaller parent, which the user accepted: zeros past its end.
  if (sector >= link.capacity) return { ...base, state: 'zero' };
  try {
    const runs = await link.map(sectorRange(sector, 1));
    const origin = runs.originAt(0);
    if (origin === undefined) return { ...base, state: runs.isAbsentAt(0) ? 'absent' : 'zero' };
    if (origin.lost !== undefined)
      return { ...base, state: 'lost', problem: origin.lost.message.split('\n')[0]! };
    const place = { file: origin.path, offset: runs.offsetAt(0), compressed: origin.compressed };
    return { ...base, state: 'data', ...place, ...(await hashOf(link, sector)) };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { ...base, state: 'lost', problem: error.message.split('\n')[0]! };
  }
}

async function hashOf(
  source: Pick<Chain, 'read'>,
  sector: number,
): Promise<{ sha256?: string; problem?: string }> {
  const bytes = Buffer.alloc(SECTOR_BYTES);
  try {
    await source.read(sectorRange(sector, 1), bytes);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { problem: error.message.split('\n')[0]! };
  }
  return { sha256: createHash('sha256').update(bytes).digest('hex') };
}

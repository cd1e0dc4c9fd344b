// ESX deltas (vmfsSparse, COWD): one copy of the tables, grains of one sector.
import type { OnFinding } from '../core/finding.ts';
import { CowdHeaderStruct, parseCowdHeader, type CowdHeader } from '../format/cowd-header.ts';
import { CowdGrains } from '../grain/cowd-grains.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { plainOrigin, type Extent } from './extent.ts';
import { agreedCapacity, grainExtent } from './grain-extent.ts';
import { sayUnclean } from './sparse-extent.ts';

export async function readCowdHeader(file: RandomAccessFile): Promise<CowdHeader> {
  const bytes = Buffer.alloc(CowdHeaderStruct.byteLength);
  await file.readExactly(bytes, 0);
  return parseCowdHeader(bytes, file.path);
}

export async function openCowdExtent(
  file: RandomAccessFile,
  lineSectors: number | undefined,
  onFinding: OnFinding,
  memory = new ExtentMemory(),
): Promise<Extent> {
  const header = await readCowdHeader(file);
  const capacity = agreedCapacity(file.path, header.capacity, header.grainSize, lineSectors);
  sayUnclean(file.path, header.uncleanShutdown, onFinding);
  const grains = await CowdGrains.open(file, header, plainOrigin(file), onFinding, memory);
  return grainExtent('cowd', file, grains, capacity, shownCowdFields(header));
}

export function shownCowdFields(header: CowdHeader): Extent['header'] {
  return {
    capacity: header.capacity,
    'grain-size': header.grainSize,
    'grain-directory': header.gdOffset,
    'free-sector': header.freeSector,
    'unclean-shutdown': header.uncleanShutdown,
  };
}

// Space-efficient sparse extents (seSparse): read only. A journal that waits to be replayed is refused unless the
// caller says otherwise, for its record format is unknown and the tables may be half a transaction behind.
import { VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import {
  parseSeSparseHeader,
  SESPARSE_VOLATILE_MAGIC,
  SeSparseConstHeader,
  SeSparseVolatileHeader,
  type SeSparseHeader,
} from '../format/sesparse-header.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import { SeSparseGrains } from '../grain/sesparse-grains.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { plainOrigin, type Extent } from './extent.ts';
import { agreedCapacity, grainExtent } from './grain-extent.ts';

export async function openSeSparseExtent(
  file: RandomAccessFile,
  lineSectors: number | undefined,
  journal: 'refuse' | 'ignore',
  onFinding: OnFinding,
  memory = new ExtentMemory(),
): Promise<Extent> {
  const bytes = Buffer.alloc(SeSparseConstHeader.byteLength);
  await file.readExactly(bytes, 0);
  const header = parseSeSparseHeader(bytes, file.path);
  const capacity = agreedCapacity(file.path, header.capacity, header.grainSize, lineSectors);
  const replay = await readJournalState(file, header);
  if (replay) judgeJournal(file.path, header, journal, onFinding);
  const grains = await SeSparseGrains.open(file, header, plainOrigin(file), memory);
  const shown = {
    capacity: header.capacity,
    'grain-size': header.grainSize,
    'grain-directory': header.grainDirectoryOffset,
    'grain-tables': header.grainTablesOffset,
    'data-region': header.grainOffset,
    'journal-to-replay': replay,
  };
  return grainExtent('sesparse', file, grains, capacity, shown);
}

async function readJournalState(file: RandomAccessFile, header: SeSparseHeader): Promise<boolean> {
  const at = header.volatileHeaderOffset * SECTOR_BYTES;
  const bytes = Buffer.alloc(SeSparseVolatileHeader.byteLength);
  await file.readExactly(bytes, at);
  const raw = SeSparseVolatileHeader.decode(bytes);
  if (raw.volatileMagic !== SESPARSE_VOLATILE_MAGIC) {
    throw new VmdkError('corrupt', 'bad-header', 'the volatile header of the seSparse extent is damaged', {
      path: file.path,
      offset: at,
      field: 'volatileMagic',
      found: `0x${raw.volatileMagic.toString(16)}`,
      expected: '0xcafecafe',
    });
  }
  return raw.replayJournal !== 0n;
}

function judgeJournal(
  path: string,
  header: SeSparseHeader,
  journal: 'refuse' | 'ignore',
  say: OnFinding,
): void {
  const offset =
    header.volatileHeaderOffset * SECTOR_BYTES + SeSparseVolatileHeader.offsetOf('replayJournal');
  if (journal === 'refuse') {
    throw new VmdkError(
      'refused',
      'journal-to-replay',
      'the seSparse extent has a journal that was never replayed',
      {
        path,
        offset,
        field: 'replayJournal',
        found: 'set',
        expected: '0',
        hint: 'Let ESXi open the disk once, or pass --journal ignore to read the tables as they are: the last changes may be missing or half applied.',
      },
    );
  }
  say({
    code: 'UNCLEAN',
    severity: 'error',
    message: 'a journal was never replayed: the last changes may be missing or half applied',
    path,
    offset,
    repairable: false,
  });
}

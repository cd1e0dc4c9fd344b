// Markers of a streamOptimized extent: what stands in the sector before a grain, a table, the footer, the end.
// Names after VMware's Virtual Disk Format 5.0; type 4 as in open-vmdk.
import { SECTOR_BYTES } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const Marker = defineStruct('Marker', 512, [
  ['val', 'u64'],
  ['size', 'u32'],
  ['type', 'u32'],
  ['pad', 496],
]);

/** The first 12 bytes of a stored grain. */
export const GrainMarker = defineStruct('GrainMarker', 12, [
  ['lba', 'u64'],
  ['size', 'u32'],
]);

export const GRAIN_MARKER_BYTES = 12;

export const MARKER_TYPE = {
  endOfStream: 0,
  grainTable: 1,
  grainDirectory: 2,
  footer: 3,
  progress: 4,
} as const;

/** Distance of footer marker and footer from the end of a canonical stream, in bytes. */
export const FOOTER_MARKER_FROM_END = 3 * SECTOR_BYTES;
export const FOOTER_FROM_END = 2 * SECTOR_BYTES;

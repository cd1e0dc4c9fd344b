// The first sector of FAT12, FAT16, FAT32, exFAT and NTFS volumes. Names after Microsoft's FAT specification
// (fatgen103, 2000): BIOS parameter block, then what FAT32 adds.
import { isPowerOfTwo } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const FatBootSector = defineStruct('FatBootSector', 512, [
  ['BS_jmpBoot', 3],
  ['BS_OEMName', 8],
  ['BPB_BytsPerSec', 'u16'],
  ['BPB_SecPerClus', 'u8'],
  ['BPB_RsvdSecCnt', 'u16'],
  ['BPB_NumFATs', 'u8'],
  ['BPB_RootEntCnt', 'u16'],
  ['BPB_TotSec16', 'u16'],
  ['BPB_Media', 'u8'],
  ['BPB_FATSz16', 'u16'],
  ['BPB_SecPerTrk', 'u16'],
  ['BPB_NumHeads', 'u16'],
  ['BPB_HiddSec', 'u32'],
  ['BPB_TotSec32', 'u32'],
  ['BPB_FATSz32', 'u32'],
  ['BPB_ExtFlags', 'u16'],
  ['BPB_FSVer', 'u16'],
  ['BPB_RootClus', 'u32'],
  ['BPB_FSInfo', 'u16'],
  ['BPB_BkBootSec', 'u16'],
  ['BPB_Reserved', 12],
  ['BS_DrvNum', 'u8'],
  ['BS_Reserved1', 'u8'],
  ['BS_BootSig', 'u8'],
  ['BS_VolID', 'u32'],
  ['BS_VolLab', 11],
  ['BS_FilSysType', 8],
  ['BootCode', 420],
  ['Signature', 'u16'],
]);

/** The name that NTFS and exFAT put where FAT has the maker's. */
export function oemName(sector: Uint8Array): string {
  return Buffer.from(FatBootSector.decode(sector).BS_OEMName).toString('latin1').trimEnd();
}

/** Whether a sector that ends in 0xaa55 begins a volume of the FAT family or NTFS, rather than a partitioned disk. */
export function isBootSector(sector: Uint8Array): boolean {
  const raw = FatBootSector.decode(sector);
  const name = oemName(sector);
  if (name === 'NTFS' || name === 'EXFAT') return true;
  const jumps = raw.BS_jmpBoot[0] === 0xe9 || (raw.BS_jmpBoot[0] === 0xeb && raw.BS_jmpBoot[2] === 0x90);
  return (
    jumps &&
    [512, 1024, 2048, 4096].includes(raw.BPB_BytsPerSec) &&
    isPowerOfTwo(raw.BPB_SecPerClus) &&
    raw.BPB_RsvdSecCnt > 0 &&
    (raw.BPB_NumFATs === 1 || raw.BPB_NumFATs === 2) &&
    (raw.BPB_Media === 0xf0 || raw.BPB_Media >= 0xf8)
  );
}

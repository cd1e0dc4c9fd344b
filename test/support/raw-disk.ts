// Raw bytes as a disk: for file systems and partition tables that other tools made in a plain file.
import { stat, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from './craft.ts';

/** Writes a descriptor beside `raw`, whose bytes it names as one flat extent; gives its path. */
export async function diskOfRaw(raw: string): Promise<string> {
  const path = `${raw.replace(/\.\w+$/, '')}.vmdk`;
  const { size } = await stat(raw);
  const extents = [`RW ${size / 512} FLAT "${basename(raw)}" 0`];
  await writeFile(path, text({ createType: 'monolithicFlat', extents }));
  return path;
}

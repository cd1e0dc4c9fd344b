// Clones of the model machine on any store, and what their tests look at.
import { posix } from 'node:path';
import { parseDictionary, printDictionary, type Dictionary } from '../../src/format/dictionary.ts';
import { editDictionary } from '../../src/format/edit-dictionary.ts';
import { readVmx, type VmxReading } from '../../src/format/vmx.ts';
import { cloneMachine } from '../../src/machine/clone-machine.ts';
import type {
  MachineCloneOptions,
  MachineClonePlan,
  MachineCloneRequest,
  MachineCloneResult,
} from '../../src/machine/machine-clone-types.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { buildMachine, readDisk, type MachineModel, type MachineModelOptions } from './machine-model.ts';

export interface MachineBench {
  readonly fs: FileStore;
  readonly model: MachineModel;
}

/** `/ds/golden/golden.vmx` in memory, and nothing else. */
export async function machineBench(options: MachineModelOptions = {}): Promise<MachineBench> {
  const fs = createMemoryFileStore();
  await fs.makeFolder('/ds');
  return { fs, model: await buildMachine(fs, '/ds/golden', { sectors: 1024, ...options }) };
}

export async function clonedMachines(
  work: MachineCloneRequest | MachineClonePlan,
  options: MachineCloneOptions,
): Promise<MachineCloneResult[]> {
  const results: MachineCloneResult[] = [];
  for await (const result of cloneMachine(work, options)) results.push(result);
  return results;
}

export async function textOf(fs: FileStore, path: string): Promise<string> {
  return (await bytesOf(fs, path)).toString('latin1');
}

export async function bytesOf(fs: FileStore, path: string): Promise<Buffer> {
  const file = await fs.open(path, 'read');
  try {
    const data = Buffer.alloc(await file.size());
    await file.readExactly(data, 0);
    return data;
  } finally {
    await file.close();
  }
}

export async function vmxOf(
  fs: FileStore,
  path: string,
): Promise<{ dictionary: Dictionary; config: VmxReading }> {
  const dictionary = parseDictionary(await bytesOf(fs, path), path);
  return { dictionary, config: readVmx(dictionary) };
}

/** Changes lines of a .vmx; null takes one away. */
export async function editVmx(
  fs: FileStore,
  path: string,
  edits: Record<string, string | null>,
): Promise<void> {
  const { dictionary } = await vmxOf(fs, path);
  await fs.replace(path, printDictionary(editDictionary(dictionary, edits)));
}

/** The contents of every disk that the .vmx names, by node, as a reader gets them who was allowed no more. */
export async function contentsOf(fs: FileStore, vmx: string): Promise<Map<string, Buffer>> {
  const { config } = await vmxOf(fs, vmx);
  const contents = new Map<string, Buffer>();
  for (const { node, kind, present, fileName } of config.devices) {
    if (kind !== 'disk' || !present) continue;
    contents.set(node, await readDisk(fs, posix.join(posix.dirname(vmx), fileName!)));
  }
  return contents;
}

/** Marks of taking a lock, which a kill leaves and a power cut may bring back: all take them for dead after some seconds. */
export async function forgetEntering(fs: FileStore, folder: string): Promise<void> {
  for (const name of await fs.list(folder)) {
    if (!name.endsWith('.lck')) continue;
    for (const mark of await fs.list(`${folder}/${name}`)) {
      if (mark.startsWith('D')) await fs.removeFolder(`${folder}/${name}/${mark}`);
      if (mark.startsWith('E')) await fs.remove(`${folder}/${name}/${mark}`);
      // Written, and lost with the power: a member that says nothing is nobody's.
      if (mark.startsWith('M') && /^\0*$/.test(await textOf(fs, `${folder}/${name}/${mark}`)))
        await fs.remove(`${folder}/${name}/${mark}`);
    }
  }
}

// What every clone of a run is made of, prepared once: the template of each disk, the .vmx without what is the
// source's own, the companions. Pure after that: a name and an identity give the files of one clone.
import { posix } from 'node:path';
import { usageError } from '../core/errors.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { printDictionary } from '../format/dictionary.ts';
import { composeCloneDatabase } from '../format/edit-vmsd.ts';
import { replaceVmxPathName } from '../format/vmxf.ts';
import { assertCloneName } from '../operations/clone-names.ts';
import { deltaTemplate, type DeltaTemplate } from '../operations/delta-template.ts';
import { allocatedBytes } from '../operations/disk-plan.ts';
import type { NewFile } from '../operations/file-change.ts';
import type { SourceDisk } from './clone-source.ts';
import { cloneVmx, type VmxTemplate } from './clone-vmx.ts';
import { copyFileNames, copyFiles, copyTypeFor, type DiskCopy } from './copy-disk.ts';
import type { GivenMachine } from './given-identity.ts';
import type { MachineCloneOptions } from './machine-clone-types.ts';
import type { VmxDevice } from '../format/vmx.ts';
import type { CloneIdentity } from './new-identity.ts';

/** How one disk of the source becomes one of a clone. */
export interface ClonePart {
  readonly source: SourceDisk;
  /** What follows the clone's name in that of its disk. */
  readonly suffix: string;
  /** Of a linked disk. */
  readonly delta?: { readonly hint: string; readonly template: DeltaTemplate };
  /** Of a copied one. */
  readonly copy?: DiskCopy;
}

export interface CloneParts {
  readonly parts: readonly ClonePart[];
  readonly vmx: VmxTemplate;
  /** Whom a linked clone names as its source, from its own folder; undefined for full copies. */
  readonly cloneOf: string | undefined;
  readonly nvram: Uint8Array | undefined;
  readonly vmxf: Uint8Array | undefined;
}

/** A clone that is about to be: who it is. */
export interface ShapedClone {
  readonly name: string;
  readonly given: GivenMachine;
  readonly identity: CloneIdentity;
}

export interface PartRequest {
  /** How a clone names a file of the source that is at this path. */
  readonly nameOf: (path: string) => string;
  /** createType, as asked for. */
  readonly type: string | undefined;
}

/**
 * One part for each disk. The first is called as the clone, the others `NAME_1`, `NAME_2` as VMware does.
 * @throws VmdkError `usage` for a type that these disks cannot have.
 */
export function clonePart(
  source: SourceDisk,
  index: number,
  device: VmxDevice | undefined,
  request: PartRequest,
  random: RandomBytes,
): ClonePart {
  const suffix = index === 0 ? '' : `_${index}`;
  const { base, kind } = source;
  if (kind === 'copied') {
    const adapter =
      device?.controller === 'ide' ? 'ide' : device?.virtualDev === 'buslogic' ? 'buslogic' : 'lsilogic';
    return { source, suffix, copy: { base, createType: copyTypeFor(request.type, base), adapter } };
  }
  const hint = request.nameOf(base.path);
  const template = deltaTemplate(base, { createType: request.type, hint }, random);
  return { source, suffix, delta: { hint, template } };
}

/** Names of all files of a clone, without folders; the .vmx last. */
export function fileNamesOf({ parts, cloneOf, nvram, vmxf }: CloneParts, name: string): string[] {
  return [
    ...parts.flatMap((part) => diskFileNames(part, name)),
    ...(cloneOf === undefined ? [] : [`${name}.vmsd`]),
    ...(nvram === undefined ? [] : [`${name}.nvram`]),
    ...(vmxf === undefined ? [] : [`${name}.vmxf`]),
    `${name}.vmx`,
  ];
}

/** The one that opens the disk last. */
export function diskFileNames({ suffix, delta, copy }: ClonePart, name: string): string[] {
  return delta?.template.fileNames(name + suffix) ?? copyFileNames(copy!, name + suffix);
}

/** The files of a clone, in the order of `fileNamesOf`. */
export function filesOfClone(
  shaped: CloneParts,
  clone: ShapedClone,
  options: MachineCloneOptions & { random: RandomBytes },
): NewFile[] {
  const { name } = clone;
  const { parts, cloneOf, nvram, vmxf } = shaped;
  return [
    ...parts.flatMap((part) => diskFiles(part, name, options)),
    ...(cloneOf === undefined ? [] : [{ name: `${name}.vmsd`, content: databaseOf(shaped, name) }]),
    ...(nvram === undefined ? [] : [{ name: `${name}.nvram`, content: nvram }]),
    ...(vmxf === undefined
      ? []
      : [{ name: `${name}.vmxf`, content: replaceVmxPathName(vmxf, `${name}.vmx`) }]),
    { name: `${name}.vmx`, content: vmxOf(shaped, clone) },
  ];
}

/** File-system blocks that a clone with the longest of `names` takes; of a copy, what its base occupies. */
export function bytesOfClone(shaped: CloneParts, clone: ShapedClone): number {
  const { nvram, vmxf, cloneOf } = shaped;
  const texts = [vmxOf(shaped, clone), ...(cloneOf === undefined ? [] : [databaseOf(shaped, clone.name)])];
  const small = [...texts, ...(nvram === undefined ? [] : [nvram]), ...(vmxf === undefined ? [] : [vmxf])];
  const plain = small.map((data) => ({ path: '', size: data.length, parts: [{ at: 0, data }] }));
  const zeros: RandomBytes = (count) => new Uint8Array(count);
  const deltas = shaped.parts.flatMap(
    ({ delta, suffix }) => delta?.template.files('/', clone.name + suffix, zeros) ?? [],
  );
  const copies = shaped.parts.reduce(
    (sum, { copy }) => sum + (copy === undefined ? 0 : Math.min(copy.base.occupied, copy.base.virtualSize)),
    0,
  );
  return allocatedBytes({ files: [...plain, ...deltas] }) + copies;
}

/** @throws VmdkError `usage` for a name whose disk would be taken for one that it stands on. */
export function assertNameFits({ parts }: CloneParts, name: string): void {
  for (const part of parts) {
    assertCloneName(name + part.suffix);
    const disk = diskFileNames(part, name).at(-1)!;
    const twin = part.source.base.links.find(
      ({ path }) => posix.basename(path).toLowerCase() === disk.toLowerCase(),
    );
    if (twin === undefined || part.delta === undefined) continue;
    throw usageError(
      `a clone called ${JSON.stringify(name)} would have a disk of the same name as the one it stands on, ${twin.path}`,
      'Choose another name: a reader that does not find the one would take the other.',
    );
  }
}

function diskFiles(
  { suffix, delta, copy }: ClonePart,
  name: string,
  options: MachineCloneOptions & { random: RandomBytes },
): NewFile[] {
  if (delta === undefined) return copyFiles(copy!, name + suffix, options);
  return delta.template
    .files('/', name + suffix, options.random)
    .map(({ path, ...content }) => ({ name: posix.basename(path), content }));
}

function vmxOf({ parts, vmx, vmxf }: CloneParts, { name, given, identity }: ShapedClone): Buffer {
  const disks = new Map(parts.map((part) => [part.source.node, diskFileNames(part, name).at(-1)!]));
  const { displayName, annotation } = given;
  const clone = { displayName, annotation, stem: name, identity, disks, vmxf: vmxf !== undefined };
  return printDictionary(cloneVmx(vmx, clone));
}

/** The sentinels are the clone's own linked disks: what is below them, VMware leaves alone when it deletes the clone. */
function databaseOf({ parts, cloneOf, vmx }: CloneParts, name: string): Buffer {
  const linked = parts.filter(({ delta }) => delta !== undefined);
  const sentinels = linked.map((part) => diskFileNames(part, name).at(-1)!);
  const crlf = Buffer.from(vmx.dictionary.lines[0]?.raw ?? '').includes('\r\n');
  const database = {
    path: `${name}.vmsd`,
    cloneOf: [cloneOf!],
    sentinels,
    eol: crlf ? '\r\n' : '\n',
  } as const;
  return printDictionary(composeCloneDatabase(database));
}

// A whole machine in a few MiB, with known contents: three disks (split sparse on SCSI, flat on SATA, thin VMFS on NVMe)
// and a snapshot tree of two branches, a fixture on any store. Every point's contents are plain buffers.
import { posix } from 'node:path';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import type { DiskSpec, FixtureSpec } from '../../src/fixture/spec.ts';
import { printDictionary } from '../../src/format/dictionary.ts';
import { composeDictionary } from '../../src/format/edit-dictionary.ts';
import { addSnapshot, emptyVmsd } from '../../src/format/edit-vmsd.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { hashFile, pattern } from './chain-model.ts';
import { fillBytes, placeFixture } from './fixture-disks.ts';

export interface MachineModelOptions {
  /** `golden`. */
  readonly name?: string;
  /** Of each disk: 1 MiB. */
  readonly sectors?: number;
  /** 1 "installed", 2 "patched" above it, 3 "experiment" beside 2 and current. Default true. */
  readonly snapshots?: boolean;
  /** `\r\n` as on Windows. */
  readonly eol?: '\n' | '\r\n';
  readonly encoding?: string;
  /** More lines of the .vmx, or others: null leaves a line out. */
  readonly vmx?: Readonly<Record<string, string | null>>;
  /** Fewer disks than the three. */
  readonly nodes?: readonly ModelNode[];
  /** Other contents. */
  readonly seed?: number;
}

export type ModelNode = 'scsi0:0' | 'sata0:1' | 'nvme0:0';
/** A snapshot's uid, or the running point. */
export type ModelPoint = 1 | 2 | 3 | 'running';

export interface MachineModel {
  readonly vmxPath: string;
  readonly vmsdPath: string;
  readonly folder: string;
  readonly name: string;
  readonly nodes: readonly ModelNode[];
  /** The disk of a point. */
  readonly diskAt: (point: ModelPoint, node: ModelNode) => string;
  /** What that disk reads as. */
  readonly contentsAt: (point: ModelPoint, node: ModelNode) => Buffer;
  /** SHA-256 of every file in the folder, by name. */
  readonly hashes: () => Promise<Map<string, string>>;
}

const NODES: readonly ModelNode[] = ['scsi0:0', 'sata0:1', 'nvme0:0'];
const TYPES: Readonly<Record<ModelNode, DiskSpec>> = {
  'scsi0:0': { createType: 'twoGbMaxExtentSparse', split: '1024s' },
  'sata0:1': { createType: 'monolithicFlat' },
  'nvme0:0': { createType: 'vmfs' },
};
/** 2026-03-01T12:00:00Z, then a day for each. */
const FIRST_TIME = 1_772_366_400_000_000n;
const DAY = 86_400_000_000n;

/** Builds it in `folder`, which is made when it is missing; the folder that holds it must be there. */
export async function buildMachine(
  store: FileStore,
  folder: string,
  options: MachineModelOptions = {},
): Promise<MachineModel> {
  const { name = 'golden', nodes = NODES, snapshots = true } = options;
  if (!(await store.exists(folder))) await store.makeFolder(folder);
  const seed = options.seed ?? 1;
  const made = new Disks({ name, sectors: options.sectors ?? 2048, seed });
  const disks = new Map<string, string>();
  const contents = new Map<string, Buffer>();
  const keep = (point: ModelPoint, node: ModelNode, disk: string): void => {
    disks.set(`${point} ${node}`, posix.join(folder, `${disk}.vmdk`));
    contents.set(`${point} ${node}`, made.contents(disk));
  };
  for (const [index, node] of nodes.entries()) {
    const base = made.base(index, node);
    if (!snapshots) {
      keep('running', node, base);
      continue;
    }
    keep(1, node, base);
    keep(2, node, made.delta(base, 1));
    const experiment = made.delta(base, 2);
    keep(3, node, experiment);
    keep('running', node, made.delta(experiment, 3));
  }
  // Machines in folders of other names have other identities.
  await placeFixture(made.spec(`machine ${seed} in ${posix.basename(folder)}`), folder, store);
  const diskAt = (point: ModelPoint, node: ModelNode): string => disks.get(`${point} ${node}`)!;
  const vmxPath = posix.join(folder, `${name}.vmx`);
  const vmsdPath = posix.join(folder, `${name}.vmsd`);
  await writeCompanions(store, { folder, name, nodes, options, diskAt, snapshots });
  return {
    vmxPath,
    vmsdPath,
    folder,
    name,
    nodes,
    diskAt,
    contentsAt: (point, node) => contents.get(`${point} ${node}`)!,
    hashes: () => hashesIn(store, folder),
  };
}

/** SHA-256 of every file directly in a folder, by name. */
export async function hashesIn(store: FileStore, folder: string): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const name of (await store.list(folder)).sort()) {
    const path = posix.join(folder, name);
    if ((await store.resolve(path)).kind === 'file') hashes.set(name, await hashFile(store, path));
  }
  return hashes;
}

/** What the chain at `path` reads as. */
export async function readDisk(store: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs: store });
  try {
    const contents = Buffer.alloc(chain.capacity * SECTOR_BYTES);
    await chain.read(sectorRange(0, chain.capacity), contents);
    return contents;
  } finally {
    await chain.close();
  }
}

/** The disks of a machine as a spec, and what each of them reads as. */
class Disks {
  readonly #shape: { name: string; sectors: number; seed: number };
  readonly #contents = new Map<string, Buffer>();
  readonly #disks: Record<string, DiskSpec> = {};

  constructor(shape: { name: string; sectors: number; seed: number }) {
    this.#shape = shape;
  }

  spec(seed: string): FixtureSpec {
    return { seed, disks: this.#disks };
  }

  contents(disk: string): Buffer {
    return this.#contents.get(disk)!;
  }

  base(index: number, node: ModelNode): string {
    const { name, sectors } = this.#shape;
    const disk = index === 0 ? name : `${name}_${index}`;
    const size = sectors * SECTOR_BYTES;
    this.#add(disk, { ...TYPES[node], size }, Buffer.alloc(size), { start: 0, count: 300, salt: 1 + index });
    return disk;
  }

  /** A delta with the number `number`, one stretch of it written. */
  delta(parent: string, number: number): string {
    const disk = `${parent.replace(/-\d{6}$/, '')}-${String(number).padStart(6, '0')}`;
    const stretch = { start: 100 * number, count: 150, salt: 10 * number };
    this.#add(disk, { parent }, Buffer.from(this.contents(parent)), stretch);
    return disk;
  }

  #add(
    disk: string,
    spec: DiskSpec,
    contents: Buffer,
    { start, count, salt }: { start: number; count: number; salt: number },
  ): void {
    const data = pattern(count * SECTOR_BYTES, this.#shape.seed * 100 + salt);
    this.#disks[disk] = { ...spec, writes: [fillBytes(start * SECTOR_BYTES, data)] };
    contents.set(data, start * SECTOR_BYTES);
    this.#contents.set(disk, contents);
  }
}

interface Companions {
  readonly folder: string;
  readonly name: string;
  readonly nodes: readonly ModelNode[];
  readonly options: MachineModelOptions;
  readonly snapshots: boolean;
  readonly diskAt: (point: ModelPoint, node: ModelNode) => string;
}

async function writeCompanions(store: FileStore, companions: Companions): Promise<void> {
  const { folder, name, options, snapshots, nodes, diskAt } = companions;
  const { eol = '\n', encoding = 'UTF-8' } = options;
  const at = (extension: string): string => posix.join(folder, `${name}.${extension}`);
  const lines = vmxLines(companions);
  const vmx = composeDictionary(lines, { path: at('vmx'), eol, encoding });
  await store.replace(at('vmx'), printDictionary(vmx));
  await store.replace(at('nvram'), pattern(17 * 512, 7));
  const vmxf = `<?xml version="1.0"?>\n<Foundry>\n<VM>\n<VMId type="string">52 aa</VMId>\n<vmxPathName type="string">${name}.vmx</vmxPathName></VM></Foundry>\n`;
  await store.replace(at('vmxf'), Buffer.from(vmxf));
  if (!snapshots) {
    // As ESX leaves it.
    await store.replace(at('vmsd'), Buffer.alloc(0));
    return;
  }
  let vmsd = emptyVmsd(at('vmsd'), eol);
  for (const [uid, displayName, parentUid] of [
    [1, 'installed', undefined],
    [2, 'patched', 1],
    [3, 'experiment', 1],
  ] as const) {
    const disks = nodes.map((node) => ({ node, fileName: posix.basename(diskAt(uid, node)) }));
    const createdMicros = FIRST_TIME + BigInt(uid - 1) * DAY;
    const description = uid === 2 ? 'with "quotes" | and more' : '';
    vmsd = addSnapshot(vmsd, { uid, parentUid, displayName, description, createdMicros, disks });
  }
  await store.replace(at('vmsd'), printDictionary(vmsd));
}

function vmxLines({ name, nodes, options, diskAt }: Companions): [string, string][] {
  const lines = new Map<string, string>([
    ['config.version', '8'],
    ['virtualHW.version', '19'],
    ['displayName', name],
    ['guestOS', 'debian11-64'],
    ['memsize', '1024'],
    ['nvram', `${name}.nvram`],
    ['extendedConfigFile', `${name}.vmxf`],
    ['uuid.bios', '56 4d 11 22 33 44 55 66-77 88 99 aa bb 27 c4 8b'],
    ['uuid.location', '56 4d 11 22 33 44 55 66-77 88 99 aa bb 27 c4 8b'],
    ['vc.uuid', '52 aa bb cc dd ee ff 00-11 22 33 44 55 66 77 88'],
    ['ethernet0.present', 'TRUE'],
    ['ethernet0.addressType', 'generated'],
    ['ethernet0.generatedAddress', '00:0c:29:27:c4:8b'],
    ['ethernet0.generatedAddressOffset', '0'],
    ['ethernet1.present', 'TRUE'],
    ['ethernet1.addressType', 'static'],
    ['ethernet1.address', '00:50:56:11:22:33'],
    ['floppy0.present', 'FALSE'],
    ['ide1:0.present', 'TRUE'],
    ['ide1:0.deviceType', 'cdrom-image'],
    ['ide1:0.fileName', '/isos/debian.iso'],
    ['sched.swap.derivedName', `/vmfs/volumes/ds1/${name}/${name}-1a2b3c4d.vswp`],
    ['migrate.hostlog', `./${name}-1a2b3c4d.hlog`],
    ['checkpoint.vmState', ''],
    ['cleanShutdown', 'TRUE'],
    ['softPowerOff', 'TRUE'],
  ]);
  for (const node of nodes) {
    const controller = node.slice(0, -2);
    lines.set(`${controller}.present`, 'TRUE');
    if (controller === 'scsi0') lines.set('scsi0.virtualDev', 'pvscsi');
    lines.set(`${node}.present`, 'TRUE');
    lines.set(`${node}.fileName`, posix.basename(diskAt('running', node)));
    if (controller === 'scsi0') lines.set(`${node}.deviceType`, 'scsi-hardDisk');
  }
  for (const [key, value] of Object.entries(options.vmx ?? {})) {
    if (value === null) lines.delete(key);
    else lines.set(key, value);
  }
  return [...lines];
}

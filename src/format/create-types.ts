// What each createType means: its extents, whose it is, what we can do with it. Rule: createType is advisory, the types
// of the extents decide; what cannot be read is explained, never read as zeros.
import { createTypeOf, type CreateType, type Descriptor } from './descriptor.ts';
import { showText } from './plain-text.ts';

export interface CreateTypeInfo {
  /** Types of its extents, in upper case; empty = any. */
  readonly extentTypes: readonly string[];
  readonly home: 'hosted' | 'esx';
  /** VMware gives new deltas this type. */
  readonly delta: boolean;
  /** The descriptor stands inside the one extent. */
  readonly embedded: boolean;
  readonly read: boolean;
  /** Whether sectors can be written into an existing one. */
  readonly write: boolean;
  readonly create: boolean;
}

type Deed = 'read' | 'write' | 'create';

const ALL: readonly Deed[] = ['read', 'write', 'create'];

export const CREATE_TYPE_TABLE: Readonly<Record<CreateType, CreateTypeInfo>> = {
  monolithicSparse: info('hosted', ['SPARSE'], ALL, ['delta', 'embedded']),
  monolithicFlat: info('hosted', ['FLAT'], ALL),
  twoGbMaxExtentSparse: info('hosted', ['SPARSE'], ALL, ['delta']),
  twoGbMaxExtentFlat: info('hosted', ['FLAT'], ALL),
  streamOptimized: info('hosted', ['SPARSE'], ['read'], ['embedded']),
  fullDevice: info('hosted', ['FLAT'], ['read']),
  partitionedDevice: info('hosted', ['FLAT', 'ZERO'], ['read']),
  custom: info('hosted', [], ['read', 'write']),
  vmfs: info('esx', ['VMFS'], ALL),
  vmfsPreallocated: info('esx', ['VMFS'], ['read', 'write']),
  vmfsEagerZeroedThick: info('esx', ['VMFS'], ['read', 'write']),
  vmfsThin: info('esx', ['VMFS'], ['read', 'write']),
  vmfsThick: info('esx', ['VMFS'], ['read', 'write']),
  vmfsSparse: info('esx', ['VMFSSPARSE'], ALL, ['delta']),
  seSparse: info('esx', ['SESPARSE'], ['read', 'create'], ['delta']),
  vsanSparse: info('esx', ['VSANSPARSE'], [], ['delta']),
  vmfsRawDeviceMap: info('esx', ['VMFSRDM'], []),
  vmfsPassthroughRawDeviceMap: info('esx', ['VMFSRDM'], []),
  vmfsRaw: info('esx', ['VMFSRAW'], []),
};

/** A COWD delta counts sectors in 32 bits, a hosted sparse extent places them in 32 bits: both end below 2 TiB. */
const SECTORS_OF_2_TIB = 2 ** 32;

export type DeltaType = 'monolithicSparse' | 'twoGbMaxExtentSparse' | 'vmfsSparse' | 'seSparse';

/**
 * The createType that VMware would give a new delta on top of this disk. Capacity in sectors.
 * vmfsSparse and seSparse never meet in one chain; a disk that is neither ESX's nor split gets monolithicSparse.
 */
export function deltaTypeFor(descriptor: Descriptor, capacity: number): DeltaType {
  const own = descriptor.createType === undefined ? undefined : createTypeOf(descriptor.createType);
  const types = new Set(descriptor.extents.map(({ type }) => type));
  if (types.has('SESPARSE')) return 'seSparse';
  if (types.has('VMFSSPARSE')) return 'vmfsSparse';
  const esxExtents = [...types].some((type) => type.startsWith('VMFS') || type === 'VSANSPARSE');
  // An extent's type counts more than createType: a vmfs disk carried off and described anew as FLAT is hosted.
  const esx = esxExtents || (types.size === 0 && own !== undefined && CREATE_TYPE_TABLE[own].home === 'esx');
  if (esx) return capacity < SECTORS_OF_2_TIB ? 'vmfsSparse' : 'seSparse';
  const split =
    own === 'twoGbMaxExtentSparse' || own === 'twoGbMaxExtentFlat' || descriptor.extents.length > 1;
  return split || capacity >= SECTORS_OF_2_TIB ? 'twoGbMaxExtentSparse' : 'monolithicSparse';
}

/** Why a disk cannot be read from its files, and the way out. */
export interface Unreadable {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Undefined when the files of this disk can hold its content; `opensUrls` when these may be remote ones. */
export function explainUnreadable(descriptor: Descriptor, opensUrls = false): Unreadable | undefined {
  return contentElsewhere(descriptor) ?? extentElsewhere(descriptor, opensUrls);
}

function contentElsewhere({
  encryptedBy,
  isNativeSnapshot,
  ddb,
  version,
}: Descriptor): Unreadable | undefined {
  if (encryptedBy !== undefined) {
    return {
      code: 'encrypted-disk',
      message: `the disk is encrypted (${encryptedBy}): its files hold ciphertext`,
      hint: 'Decrypt the disk with VMware, or copy its content out of the running machine.',
    };
  }
  if (isNativeSnapshot || ddb.has('ddb.nativeparenthint')) {
    return {
      code: 'native-snapshot',
      message: 'the storage array keeps the content of this snapshot (VAAI), not the files',
      hint: 'Consolidate the snapshots or clone the disk on its ESXi host, then take the copy.',
    };
  }
  if (version !== undefined && version > 3) {
    return {
      code: 'descriptor-version',
      message: `descriptor version ${version} is met only with vSAN and encrypted disks`,
      hint: 'Clone the disk to a VMFS or NFS datastore with vmkfstools -i, then take the copy.',
    };
  }
  return undefined;
}

function extentElsewhere({ extents }: Descriptor, opensUrls: boolean): Unreadable | undefined {
  for (const { type, fileName } of extents) {
    const shown = showText(fileName ?? '');
    const explained = objectName(type, shown, opensUrls) ?? deviceExtent(type, shown);
    if (explained !== undefined) return explained;
  }
  return undefined;
}

function objectName(type: string, fileName: string, opensUrls: boolean): Unreadable | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(fileName)?.[1]?.toLowerCase();
  if (scheme === 'vsan' || scheme === 'vvol' || type === 'VSANSPARSE') {
    return {
      code: scheme === 'vvol' ? 'vvol-object' : 'vsan-object',
      message: `the content is the object ${fileName} in its datastore, not a file`,
      hint: 'Move or clone the disk to a VMFS or NFS datastore, which makes files of it.',
    };
  }
  if (scheme === undefined && !/^json:/i.test(fileName)) return undefined;
  const remote = scheme !== undefined && /^(?:https?|s3)$/.test(scheme);
  // Which URLs may be read is judged where they are opened.
  if (remote && opensUrls) return undefined;
  const allow = remote ? ' Or trust its place: --allow-origin URL.' : '';
  return {
    code: 'not-a-file',
    message: `an extent names ${fileName}: addresses are not followed`,
    hint: `Fetch what it names and put the name of the local file into the descriptor.${allow}`,
  };
}

function deviceExtent(type: string, fileName: string): Unreadable | undefined {
  if (type === 'VMFSRDM') {
    return {
      code: 'raw-device-mapping',
      message: `${fileName} is a raw device mapping: it points to a LUN and holds no content`,
      hint: 'Read the LUN itself, or clone the disk to a VMFS file with vmkfstools -i.',
    };
  }
  if (type !== 'VMFSRAW' && !/^(?:\/dev\/|[\\/]{2}[.?][\\/]|\/vmfs\/devices\/)/i.test(fileName))
    return undefined;
  return {
    code: 'raw-device',
    message: `the content is the device ${fileName}, not a file`,
    hint: 'Copy the device to a file of the same size and put its name into the descriptor.',
  };
}

function info(
  home: CreateTypeInfo['home'],
  extentTypes: readonly string[],
  can: readonly Deed[],
  traits: readonly ('delta' | 'embedded')[] = [],
): CreateTypeInfo {
  return {
    extentTypes,
    home,
    delta: traits.includes('delta'),
    embedded: traits.includes('embedded'),
    read: can.includes('read'),
    write: can.includes('write'),
    create: can.includes('create'),
  };
}

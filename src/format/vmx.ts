// What a .vmx says about a machine: its devices, identity and files. Rule: a pure reading of a dictionary; nothing is
// looked up, and what cannot be read is a problem. Source of the keys: format.md 8.2, real files of ESX, Workstation.
import type { Dictionary, DictionaryProblem } from './dictionary.ts';
import { showText } from './plain-text.ts';

export type VmxController = 'scsi' | 'sata' | 'ide' | 'nvme';

/** Something at a place of a disk controller. */
export interface VmxDevice {
  /** As VMware names the place: `scsi0:0`. */
  readonly node: string;
  readonly controller: VmxController;
  readonly bus: number;
  readonly unit: number;
  /** Whether the machine has it: its own `present`, unless its controller says that it is not, or no machine has the place. */
  readonly present: boolean;
  readonly kind: 'disk' | 'cdrom' | 'passthrough';
  readonly deviceType?: string;
  readonly fileName?: string;
  /** `persistent` when nothing is said. */
  readonly mode:
    | 'persistent'
    | 'independent-persistent'
    | 'independent-nonpersistent'
    | 'undoable'
    | 'append'
    | (string & {});
  /** Snapshots leave it out. */
  readonly independent: boolean;
  /** `multi-writer` and the like; missing when empty or `none`. */
  readonly sharing?: string;
  /** The redo log in use; missing when empty. */
  readonly redo?: string;
  readonly ctkEnabled?: boolean;
  /** Of its controller, when other machines share the bus: `virtual` or `physical`. */
  readonly sharedBus?: string;
  /** Of its controller: `lsilogic`, `pvscsi`, … */
  readonly virtualDev?: string;
}

export interface VmxRemovable {
  /** `floppy0`, or the place of a CD drive. */
  readonly name: string;
  readonly kind: 'floppy' | 'cdrom';
  readonly fileName: string;
}

export interface VmxEthernet {
  readonly index: number;
  readonly present: boolean;
  /** `generated`, `vpx` or `static`; VMware takes a missing one for generated. */
  readonly addressType?: string;
  /** Of a static address. */
  readonly address?: string;
  readonly generatedAddress?: string;
  readonly networkName?: string;
  readonly virtualDev?: string;
}

export interface VmxReading {
  readonly displayName?: string;
  readonly guestOs?: string;
  readonly hardwareVersion?: number;
  readonly annotation?: string;
  readonly firmware?: string;
  readonly uuidBios?: string;
  readonly uuidLocation?: string;
  readonly workingDir?: string;
  readonly nvram?: string;
  readonly extendedConfigFile?: string;
  /** `checkpoint.vmState`: the machine is suspended in it. */
  readonly suspendFile?: string;
  /** `cleanShutdown`; ESX sets it to false while the machine runs. */
  readonly cleanShutdown?: boolean;
  readonly encrypted: boolean;
  readonly vtpm: boolean;
  /** By controller, bus and unit. */
  readonly devices: readonly VmxDevice[];
  readonly removable: readonly VmxRemovable[];
  readonly ethernets: readonly VmxEthernet[];
  readonly problems: readonly DictionaryProblem[];
}

const CONTROLLERS: readonly VmxController[] = ['scsi', 'sata', 'ide', 'nvme'];
const DEVICE_KEY = /^(scsi|sata|ide|nvme)(\d{1,2}):(\d{1,3})\.(.+)$/;
/** Buses and units a machine can have; PVSCSI takes 64 units. */
const PLACES: Readonly<Record<VmxController, readonly [buses: number, units: number]>> = {
  scsi: [4, 64],
  sata: [4, 30],
  ide: [2, 2],
  nvme: [4, 64],
};
const MODES = ['persistent', 'independent-persistent', 'independent-nonpersistent', 'undoable', 'append'];

export function readVmx(dictionary: Dictionary): VmxReading {
  const problems: DictionaryProblem[] = [];
  const text = (name: string): string | undefined => nonEmpty(dictionary.get(name));
  const devices = readDevices(dictionary, problems);
  const hardware = text('virtualHW.version');
  const clean = truth(dictionary.get('cleanShutdown'));
  return {
    ...defined({
      displayName: text('displayName'),
      guestOs: text('guestOS'),
      hardwareVersion: hardware !== undefined && /^\d{1,4}$/.test(hardware) ? Number(hardware) : undefined,
      annotation: text('annotation'),
      firmware: text('firmware'),
      uuidBios: text('uuid.bios'),
      uuidLocation: text('uuid.location'),
      workingDir: text('workingDir'),
      nvram: text('nvram'),
      extendedConfigFile: text('extendedConfigFile'),
      suspendFile: text('checkpoint.vmState'),
      cleanShutdown: clean,
    }),
    encrypted: ['encryption.keySafe', 'encryption.data', 'encryptedVM.guid'].some(
      (key) => text(key) !== undefined,
    ),
    vtpm: truth(dictionary.get('vtpm.present')) === true || text('managedVM.autoAddVTPM') !== undefined,
    devices,
    removable: readRemovable(dictionary, devices),
    ethernets: readEthernets(dictionary),
    problems,
  };
}

function readDevices(dictionary: Dictionary, problems: DictionaryProblem[]): VmxDevice[] {
  const fields = new Map<string, { place: RegExpExecArray; line: number; values: Map<string, string> }>();
  for (const { key, value, line } of dictionary.entries) {
    const place = DEVICE_KEY.exec(key);
    if (place === null) continue;
    const node = nodeOf(place);
    const known = fields.get(node) ?? { place, line, values: new Map<string, string>() };
    known.values.set(place[4]!, value);
    fields.set(node, known);
  }
  const devices: VmxDevice[] = [];
  for (const [node, { place, line, values }] of fields) {
    // Change tracking, redo logs and shares linger after the device has gone.
    if (!values.has('present') && !values.has('filename')) continue;
    const device = readDevice(dictionary, node, place, values);
    noteOddDevice(device, line, problems);
    devices.push(device);
  }
  const order = ({ controller, bus, unit }: VmxDevice): number =>
    (CONTROLLERS.indexOf(controller) * 100 + bus) * 1000 + unit;
  return devices.sort((a, b) => order(a) - order(b));
}

function nodeOf(place: RegExpExecArray): string {
  return `${place[1]!}${Number(place[2])}:${Number(place[3])}`;
}

function readDevice(
  dictionary: Dictionary,
  node: string,
  place: RegExpExecArray,
  values: ReadonlyMap<string, string>,
): VmxDevice {
  const controller = place[1] as VmxController;
  const bus = Number(place[2]);
  const deviceType = nonEmpty(values.get('devicetype'));
  const mode = nonEmpty(values.get('mode'))?.toLowerCase() ?? 'persistent';
  const sharing = nonEmpty(values.get('sharing'))?.toLowerCase();
  const [buses, units] = PLACES[controller];
  const unit = Number(place[3]);
  const shared = nonEmpty(dictionary.get(`${controller}${bus}.sharedBus`))?.toLowerCase();
  // IDE channels are there without being said.
  const controllerGone = truth(dictionary.get(`${controller}${bus}.present`)) === false;
  return {
    node,
    controller,
    bus,
    unit,
    present: truth(values.get('present')) === true && !controllerGone && bus < buses && unit < units,
    kind: kindOf(deviceType),
    mode,
    independent: mode.startsWith('independent'),
    ...defined({
      deviceType,
      fileName: nonEmpty(values.get('filename')),
      sharing:
        sharing === 'none' || sharing === 'sharing-none' || sharing === 'nosharing' ? undefined : sharing,
      redo: nonEmpty(values.get('redo')),
      ctkEnabled: truth(values.get('ctkenabled')),
      sharedBus: shared === 'none' ? undefined : shared,
      virtualDev: nonEmpty(dictionary.get(`${controller}${bus}.virtualDev`)),
    }),
  };
}

/** Only what is called a hard disk, or nothing, is a disk. */
function kindOf(deviceType: string | undefined): VmxDevice['kind'] {
  if (deviceType === undefined) return 'disk';
  if (/cdrom/i.test(deviceType)) return 'cdrom';
  return /disk$/i.test(deviceType) ? 'disk' : 'passthrough';
}

function noteOddDevice(device: VmxDevice, line: number, problems: DictionaryProblem[]): void {
  const { node, controller, bus, unit, present, kind, mode, fileName } = device;
  const [buses, units] = PLACES[controller];
  const warn = (code: string, message: string): void =>
    void problems.push({ code, severity: 'warning', message, line });
  if (bus >= buses || unit >= units) {
    warn('vmx-odd-place', `${node} is no place that a machine has: it is taken for absent`);
  }
  if (controller === 'scsi' && unit === 7 && present) {
    warn('vmx-odd-place', `${node} is the place of the SCSI controller itself`);
  }
  if (kind !== 'disk' || !present) return;
  if (fileName === undefined) warn('vmx-disk-without-file', `${node} is a disk without a fileName`);
  if (!MODES.includes(mode))
    warn('vmx-odd-mode', `${node} has the mode "${showText(mode)}", which is none we know`);
}

function readRemovable(dictionary: Dictionary, devices: readonly VmxDevice[]): VmxRemovable[] {
  const removable: VmxRemovable[] = [];
  const floppies = new Set<string>();
  for (const { key } of dictionary.entries) {
    const floppy = /^(floppy\d)\./.exec(key)?.[1];
    if (floppy !== undefined) floppies.add(floppy);
  }
  for (const name of [...floppies].sort()) {
    // A first floppy drive is there unless the file says otherwise.
    if (truth(dictionary.get(`${name}.present`)) === false) continue;
    removable.push({ name, kind: 'floppy', fileName: dictionary.get(`${name}.fileName`) ?? '' });
  }
  for (const { node, kind, present, fileName = '' } of devices) {
    if (kind === 'cdrom' && present) removable.push({ name: node, kind, fileName });
  }
  return removable;
}

function readEthernets(dictionary: Dictionary): VmxEthernet[] {
  const indexes = new Set<number>();
  for (const { key } of dictionary.entries) {
    const index = /^ethernet(\d{1,2})\./.exec(key)?.[1];
    if (index !== undefined) indexes.add(Number(index));
  }
  return [...indexes]
    .sort((a, b) => a - b)
    .map((index) => {
      const text = (name: string): string | undefined => nonEmpty(dictionary.get(`ethernet${index}.${name}`));
      return {
        index,
        present: truth(text('present')) === true,
        ...defined({
          addressType: text('addressType'),
          address: text('address'),
          generatedAddress: text('generatedAddress'),
          networkName: text('networkName'),
          virtualDev: text('virtualDev'),
        }),
      };
    });
}

/** TRUE and FALSE in any case, as VMware writes them; also what people write. */
export function truth(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(true|yes|on|1|t|y)$/i.test(text)) return true;
  return /^(false|no|off|0|f|n)$/i.test(text) ? false : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the keys that are undefined. */
function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}

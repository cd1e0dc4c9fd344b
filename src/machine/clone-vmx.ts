// The .vmx of a clone, from that of its source. Rule: it names no file but the clone's own (and media that are kept),
// so that deleting the clone can take nothing else; what speaks of the source's host, place and past is dropped.
// Source of the keys: format.md 8.2 and real .vmx files of ESX and Workstation.
import type { Dictionary } from '../format/dictionary.ts';
import { editDictionary, reencodeDictionary, renameKeys } from '../format/edit-dictionary.ts';
import type { VmxReading } from '../format/vmx.ts';
import type { CloneIdentity } from './new-identity.ts';

export type MediaRule = 'keep' | 'drop';

/** What all clones of a run have in common, done once. */
export interface VmxTemplate {
  readonly dictionary: Dictionary;
  /** The same in UTF-8, for names that the source's encoding may not be able to write. */
  readonly inUtf8: Dictionary;
  readonly config: VmxReading;
}

export interface TemplateOptions {
  readonly media: MediaRule;
  /** Where a medium that is kept is, as a clone is to name it: from its name in the source's .vmx. */
  readonly mediumPath: (name: string) => string;
  /** Disks that the clones do not have: `scsi0:1`. */
  readonly dropped: readonly string[];
  /** Disks that the source has no more. */
  readonly returned: readonly string[];
}

export interface CloneVmx {
  readonly displayName: string;
  /** Without `.vmx`: what the clone's own files are called. */
  readonly stem: string;
  readonly identity: CloneIdentity;
  /** The file of each disk, by node. */
  readonly disks: ReadonlyMap<string, string>;
  readonly annotation?: string | undefined;
  /** Whether the clone has a .vmxf. */
  readonly vmxf: boolean;
}

type Edits = Record<string, string | null>;

/** Of another machine, host, place or time: names in lower case. */
const FOREIGN: readonly RegExp[] = [
  /^(?:vc\.uuid|vm\.createdate|vmid|viv\.moid|invmteam|policy\.vm\.mvmtid)$/,
  // The generation of its content, by which a guest knows that it was copied: VMware makes a new one.
  /^vm\.genidx?$/,
  // Made of uuid.bios by VMware.
  /^(?:vmci\d+\.id|scsi\d+\.saswwid)$/,
  /^(?:migrate|vmotion|managedvm|cryptobundle)\./,
  /^(?:sched\.swap\.(?:derivedname|dir)|swap\.filename)$/,
  /^(?:suspend\.directory|workingdir|snapshot\.redonotwithparent|snapshot\.action)$/,
  /^(?:cleanshutdown|softpoweroff|replay\.filename|vmxstats\.filename|log\.filename)$/,
  /^(?:host|guest|user)cpuid\.|^monitor\.phys_bits_used$/,
  /^ctkenabled$|^(?:scsi|sata|ide|nvme)\d+:\d+\.(?:ctkenabled|redo|fcd\..*)$/,
  /^checkpoint\.vmstate(?:\.readonly)?$/,
  // A port of a distributed switch belongs to one card.
  /^ethernet\d+\.(?:dvs\.portid|dvs\.connectionid|externalid)$/,
];
const UTF8 = 'utf-8';
const ASCII = /^[\t -~]*$/;
/** A device of the host, or none: not a file that could be shared by mistake. */
const NO_MEDIUM =
  /^(?:|auto detect|emptybackingstring|vmware-null-remote-.*|\/dev\/.*|\/vmfs\/devices\/.*|[a-z]:)$/i;

/** Drops and rewrites what is alike in all clones. */
export function vmxTemplate(source: Dictionary, config: VmxReading, options: TemplateOptions): VmxTemplate {
  const edits: Edits = {};
  const own = renameKeys(source, (name) => {
    const plain = plainPlace(name);
    const key = plain.toLowerCase();
    const foreign = FOREIGN.some((pattern) => pattern.test(key));
    if (foreign || options.dropped.some((node) => key.startsWith(`${node}.`))) return null;
    return plain === name ? undefined : plain;
  });
  // Where VMware looks before a machine starts: it is not suspended.
  if (source.get('checkpoint.vmState') !== undefined) edits['checkpoint.vmState'] = '';
  mediaEdits(config, options, edits);
  for (const node of options.returned) {
    edits[`${node}.present`] = 'TRUE';
    edits[`${node}.deviceType`] = 'disk';
    edits[`${node.split(':', 1)[0]!}.present`] = 'TRUE';
  }
  outputEdits(source, edits);
  for (const { index } of config.ethernets) {
    for (const name of ['generatedAddress', 'generatedAddressOffset', 'address', 'checkMACAddress']) {
      edits[`ethernet${index}.${name}`] = null;
    }
  }
  const dictionary = editDictionary(own, edits);
  return {
    dictionary,
    inUtf8: dictionary.encoding === UTF8 ? dictionary : reencodeDictionary(dictionary),
    config,
  };
}

/** `scsi00:01.fileName` is read as scsi0:1, and must not stay beside a line of that name. */
function plainPlace(name: string): string {
  const [, kind, bus, unit, rest] = /^(scsi|sata|ide|nvme)(\d{1,3}):(\d{1,3})(\..*)$/i.exec(name) ?? [];
  return kind === undefined ? name : `${kind}${Number(bus)}:${Number(unit)}${rest}`;
}

/** The clone's own .vmx; in UTF-8 when one of its names is not plain ASCII. */
export function cloneVmx(template: VmxTemplate, clone: CloneVmx): Dictionary {
  const { config } = template;
  const { stem, identity, displayName, annotation } = clone;
  const edits: Edits = {
    displayName,
    'uuid.bios': identity.uuid,
    'uuid.location': identity.uuid,
    // Else the first start stops and asks whether the machine was moved or copied.
    'uuid.action': 'keep',
    nvram: `${stem}.nvram`,
    extendedConfigFile: clone.vmxf ? `${stem}.vmxf` : null,
    ...(annotation === undefined ? {} : { annotation }),
  };
  for (const [node, file] of clone.disks) edits[`${node}.fileName`] = file;
  for (const { index, address, type, offset, outsideVmwareRange } of identity.addresses) {
    const card = `ethernet${index}`;
    edits[`${card}.addressType`] = type;
    if (type === 'static') edits[`${card}.address`] = address;
    else {
      edits[`${card}.generatedAddress`] = address;
      edits[`${card}.generatedAddressOffset`] = String(offset);
    }
    if (outsideVmwareRange === true) edits[`${card}.checkMACAddress`] = 'FALSE';
  }
  if (config.nvram === undefined) delete edits['nvram'];
  const plain = Object.values(edits).every((value) => value === null || ASCII.test(value));
  return editDictionary(plain ? template.dictionary : template.inUtf8, edits);
}

/** ISO images and floppies: named from where the clone is, or taken out of their drives. */
function mediaEdits(config: VmxReading, { media, mediumPath }: TemplateOptions, edits: Edits): void {
  for (const { name, kind, fileName } of config.removable) {
    if (NO_MEDIUM.test(fileName)) continue;
    if (media === 'keep') edits[`${name}.fileName`] = mediumPath(fileName);
    else if (kind === 'floppy') edits[`${name}.present`] = 'FALSE';
    else {
      // An empty drive as ESX writes it; Workstation takes it for one of the client.
      edits[`${name}.fileName`] = 'emptyBackingString';
      edits[`${name}.deviceType`] = 'cdrom-raw';
      edits[`${name}.clientDevice`] = 'TRUE';
      edits[`${name}.startConnected`] = 'FALSE';
    }
  }
}

/** Files that a port writes into: each clone its own, in its own folder. */
function outputEdits(source: Dictionary, edits: Edits): void {
  for (const { key, name, value } of source.entries) {
    const port = /^((?:serial|parallel)\d+)\.filename$/.exec(key)?.[1];
    if (port === undefined || source.get(`${port}.fileType`)?.toLowerCase() !== 'file') continue;
    if (/[/\\]/.test(value))
      edits[name] = value.slice(Math.max(value.lastIndexOf('/'), value.lastIndexOf('\\')) + 1);
  }
}

// The plan of a run that clones a machine: every file, identity and byte of it, before anything is made. Reads only.
import { posix } from 'node:path';
import { printCid } from '../format/content-id.ts';
import type { CloneName } from '../operations/clone-names.ts';
import { problemOf } from '../operations/clone-types.ts';
import { targetExists } from '../operations/staging.ts';
import type { FileStore } from '../storage/file-store.ts';
import { bytesOfClone, diskFileNames, fileNamesOf, type ClonePart, type ShapedClone } from './clone-parts.ts';
import { shapeMachineClones, type MachineShape } from './clone-shape.ts';
import { limitsOf, type MachineLimit } from './limits.ts';
import { interruptedIn, warningsOfClones } from './machine-clone-warnings.ts';
import type {
  MachineClonedDisk,
  MachineCloneOptions,
  MachineClonePlan,
  MachineCloneRequest,
  PlannedMachine,
  PlannedSourceDisk,
} from './machine-clone-types.ts';

/**
 * Plans clones of a machine; nothing is written.
 * @throws VmdkError for the first thing that stands against it: `usage`; whatever opening the machine and its disks
 * finds; `machine-running` and its like, `disk-locked`, `chain-too-deep`, `target-exists` (refused);
 * `run-in-progress` (conflict). With `keepGoing`, clones whose place is taken are `refused` in the plan instead.
 */
export async function planMachineClones(
  request: MachineCloneRequest,
  options: MachineCloneOptions = {},
): Promise<MachineClonePlan> {
  const shape = await shapeMachineClones(request, options);
  const plan = await planShapedClones(shape, false);
  return { ...plan, warnings: [...(await interruptedIn(shape, options)), ...plan.warnings] };
}

/** `finished`: an interrupted run of this same request was finished just now. */
export async function planShapedClones(shape: MachineShape, finished: boolean): Promise<MachineClonePlan> {
  const { store, into, isNew, source, request, freeze, entries } = shape;
  const there = new Set(isNew ? [] : await store.list(into));
  const needed = bytesOfClone(shape.shaped, longestOf(shape.clones));
  const clones = shape.clones.map((clone, index): PlannedMachine => {
    const planned = plannedMachine(shape, clone, entries[index]!, needed);
    if (!there.has(clone.name)) return planned;
    if (finished) return { ...planned, status: 'present' };
    const error = targetExists(posix.join(into, clone.name));
    if (request.keepGoing !== true) throw error;
    return { ...planned, status: 'refused', error: problemOf(error) };
  });
  const made = clones.filter(({ status }) => status === 'planned').length;
  const freezes = freeze !== undefined && !finished;
  return {
    schema: 'vmdkit-machine-clone-plan/v1',
    source: source.machine.path,
    point: pointOf(shape),
    into,
    kind: request.full === true ? 'full' : 'linked',
    hint: shape.hint,
    ...(request.type === undefined ? {} : { type: request.type }),
    media: request.media ?? 'keep',
    independent: request.independent ?? 'copy',
    'keep-going': request.keepGoing === true,
    disks: shape.shaped.parts.map(sourceDisk),
    dropped: source.dropped,
    ...(freezes ? { freeze: freeze.forks } : {}),
    clones,
    totals: totalsOf(shape, made, needed, freezes && made > 0 ? freeze['bytes-needed'] : 0),
    limits: request.full === true ? [] : await limitsOfClones(shape, made),
    warnings: await warningsOfClones(shape),
  };
}

/** Of the chains that the clones will have. */
async function limitsOfClones(
  { store, into, source: { machine, disks } }: MachineShape,
  made: number,
): Promise<MachineLimit[]> {
  const linked = disks.filter(({ kind }) => kind === 'linked');
  const [base] = linked;
  const there = base === undefined ? undefined : await systemOf(store, posix.dirname(base.base.path));
  const here = await systemOf(store, into);
  return limitsOf({
    links: Math.max(1, ...linked.map(({ base: { links } }) => links.length + 1)),
    clones: made,
    shared: linked.length > 0,
    hardwareVersion: machine.config.hardwareVersion,
    hosted: linked.every(({ base: { createType } }) => !/^(?:vmfs|seSparse)/.test(createType)),
    elsewhere: there !== undefined && here !== undefined && there !== here,
  });
}

/** What tells file systems apart, where a store can tell; of a folder that is yet to be, that of the one around it. */
async function systemOf(store: FileStore, folder: string): Promise<string | undefined> {
  if (!(await store.exists(folder)) && folder !== '/') return systemOf(store, posix.dirname(folder));
  return /^(.+):[^:]+$/.exec((await store.resolve(folder)).identity)?.[1];
}

function pointOf({ source: { snapshot } }: MachineShape): MachineClonePlan['point'] {
  if (snapshot === undefined) return { kind: 'running-point' };
  return { kind: 'snapshot', uid: snapshot.uid, name: snapshot.displayName };
}

function plannedMachine(
  { into, shaped }: MachineShape,
  { name, given, identity }: ShapedClone,
  entry: CloneName,
  needed: number,
): PlannedMachine {
  const folder = posix.join(into, name);
  return {
    name,
    status: 'planned',
    folder,
    vmx: posix.join(folder, `${name}.vmx`),
    'display-name': given.displayName,
    ...(given.annotation === undefined ? {} : { annotation: given.annotation }),
    uuid: identity.uuid,
    macs: identity.addresses.map(({ index, address, type }) => ({ card: `ethernet${index}`, address, type })),
    disks: shaped.parts.map((part) => diskOf(part, folder, name)),
    files: fileNamesOf(shaped, name).map((file) => posix.join(folder, file)),
    'bytes-needed': needed,
    ...(Object.keys(entry).length > 1 ? { input: entry } : {}),
  };
}

function diskOf(part: ClonePart, folder: string, name: string): MachineClonedDisk {
  const { source, delta, copy } = part;
  const files = diskFileNames(part, name).map((file) => posix.join(folder, file));
  const common = { node: source.node, path: files.at(-1)!, base: source.base.path, files };
  if (delta === undefined) return { ...common, kind: 'copied', type: copy!.createType };
  const cid = printCid(source.base.cid);
  const { hint, template } = delta;
  return { ...common, kind: 'linked', type: template.createType, hint, cid, 'parent-cid': cid };
}

function sourceDisk({ source: { node, kind, base } }: ClonePart): PlannedSourceDisk {
  return {
    node,
    kind,
    path: base.path,
    cid: printCid(base.cid),
    'create-type': base.createType,
    'virtual-size': base.virtualSize,
    'occupied-size': base.occupied,
    links: base.links.length,
  };
}

function totalsOf(
  { shaped, freeze, source }: MachineShape,
  made: number,
  each: number,
  forFreeze: number,
): MachineClonePlan['totals'] {
  const needed = made * each + forFreeze;
  const thin = made * source.disks.reduce((sum, { base }) => sum + base.occupied, 0);
  const thick = made * source.disks.reduce((sum, { base }) => sum + base.virtualSize, 0);
  const forked = forFreeze === 0 ? 0 : freeze!.forks.reduce((sum, { files }) => sum + files.length, 0);
  return {
    clones: made,
    files: made * fileNamesOf(shaped, 'x').length + forked,
    'bytes-needed': needed,
    'thin-copies': thin,
    'thick-copies': thick,
    'saved-against-thin': Math.max(0, thin - needed),
    'saved-against-thick': Math.max(0, thick - needed),
  };
}

function longestOf(clones: readonly ShapedClone[]): ShapedClone {
  return clones.reduce((a, b) => (b.name.length > a.name.length ? b : a));
}

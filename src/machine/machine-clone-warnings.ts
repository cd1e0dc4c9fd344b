// What a user should know before clones of a machine are made: each warning names the way out.
import { posix } from 'node:path';
import type { CloneWarning } from '../operations/clone-types.ts';
import { hintNotes } from '../operations/parent-hint.ts';
import { foretell } from '../operations/foresee-run.ts';
import { findInterrupted } from '../operations/settle-changes.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import type { MachineShape } from './clone-shape.ts';
import type { MachineCloneOptions } from './machine-clone-types.ts';

export async function warningsOfClones(shape: MachineShape): Promise<CloneWarning[]> {
  const { source, shaped } = shape;
  const warnings = [...source.warnings];
  for (const { base } of source.disks) {
    for (const { code, message, path, severity } of base.findings) {
      if (severity !== 'info') warnings.push({ code: code.toLowerCase(), message, path });
    }
  }
  warnings.push(...(await reachWarnings(shape)));
  for (const { delta, source: disk } of shaped.parts) {
    for (const note of delta?.template.notes ?? [])
      warnings.push({ code: 'delta-type', message: `${disk.node}: ${note}`, path: disk.base.path });
  }
  return [...warnings, ...writtenWarnings(shape), ...addressWarnings(shape), ...recordWarnings(shape)];
}

/** Change sets that a real run would settle first. */
export async function interruptedIn(
  { store, into, isNew, source }: MachineShape,
  { runs, takeOver }: MachineCloneOptions,
): Promise<CloneWarning[]> {
  const found = new Map<string, CloneWarning>();
  for (const root of [...(isNew ? [] : [into]), source.machine.folder]) {
    for (const run of await findInterrupted(store, root, { runs, takeOver }))
      found.set(run.path, { code: 'interrupted-run', message: foretell(run), path: run.path });
  }
  return [...found.values()];
}

/** Clones whose bases lie where no reader looks unless it is told: a warning for each folder of bases. */
async function reachWarnings({ store, into, clones, shaped }: MachineShape): Promise<CloneWarning[]> {
  // As somebody will open a clone who knows nothing of how it was made.
  const guard = createPathGuard({ store });
  const warnings = new Map<string, CloneWarning>();
  const { name } = clones[0]!;
  for (const { delta, source, suffix } of shaped.parts) {
    if (delta === undefined) continue;
    const path = posix.join(into, name, `${name}${suffix}.vmdk`);
    const around = posix.dirname(source.base.path);
    for (const note of await hintNotes(guard, path, delta.hint, source.base)) {
      const message = `each clone needs to be told where its source is: ${note}. To do without, make the clones in the folder that holds ${around}`;
      if (!warnings.has(around)) warnings.set(around, { code: 'base-out-of-reach', message, path });
    }
  }
  return [...warnings.values()];
}

function writtenWarnings({ source, freeze, shaped }: MachineShape): CloneWarning[] {
  const written = shaped.parts
    .filter(({ delta, source: disk }) => delta !== undefined && disk.written && !(freeze && disk.forkable))
    .map(({ source: disk }) => disk);
  if (written.length === 0) return [];
  const wayOut = written.some(({ forkable }) => forkable)
    ? 'fork it with --freeze, or clone a snapshot'
    : 'give the clones copies of them (--independent copy)';
  const message = `the clones stand on disks that the source writes to when it is started (${written.map(({ node }) => node).join(', ')}): that would break every clone. Never start it again, or ${wayOut}`;
  return [{ code: 'source-not-frozen', message, path: source.machine.path }];
}

function addressWarnings({ source, clones }: MachineShape): CloneWarning[] {
  const { config, path } = source.machine;
  const warnings: CloneWarning[] = [];
  for (const { index, present, addressType } of config.ethernets) {
    if (!present || addressType?.toLowerCase() !== 'static') continue;
    const without = clones.filter(({ identity }) =>
      identity.addresses.some((own) => own.index === index && own.type === 'generated'),
    );
    if (without.length === 0) continue;
    const message = `ethernet${index} of the source has a static address, which no two machines can share: ${without.length} of the clones ${without.length === 1 ? 'gets' : 'get'} a generated one. Give theirs in the list of names ("mac${index}")`;
    warnings.push({ code: 'static-address', message, path });
  }
  const odd = clones.find(({ identity }) => identity.addresses.some((own) => own.outsideVmwareRange));
  if (odd !== undefined) {
    const message = `addresses outside 00:50:56:00:00:00 to 00:50:56:3f:ff:ff are given ("${odd.name}"): VMware takes them since checkMACAddress is set to FALSE for their cards`;
    warnings.push({ code: 'odd-address', message, path });
  }
  return warnings;
}

function recordWarnings({ source, request, freeze }: MachineShape): CloneWarning[] {
  const { machine, snapshot } = source;
  const warnings: CloneWarning[] = [];
  if (snapshot !== undefined && request.full !== true && machine.power.state !== 'off') {
    const message = `the machine is not off (${machine.power.reasons.join('; ')}): the clones are not noted in its snapshot database, so VMware will not keep the snapshot from being deleted`;
    warnings.push({ code: 'clones-not-noted', message, path: machine.vmsdPath });
  }
  const tracked = (freeze?.forks ?? []).filter(
    ({ node }) => machine.config.devices.find((device) => device.node === node)?.ctkEnabled === true,
  );
  if (tracked.length > 0) {
    const message = `change tracking of ${tracked.map(({ node }) => node).join(', ')} begins anew with the fork: the next backup is a full one`;
    warnings.push({ code: 'change-tracking', message, path: machine.path });
  }
  return warnings;
}

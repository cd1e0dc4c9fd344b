// The operands of `vmdkit serve` as points: a disk is one, a .vmx is one for each of its disks and of its snapshots'.
import { basename } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { diskPointsOf } from '../machine/disk-points.ts';
import { assertMachineUsable, isMachinePath, type Machine } from '../machine/machine.ts';
import { openMachine } from '../machine/open-machine.ts';
import type { ExportPoint } from '../serve/export-types.ts';
import type { CommandContext } from './context.ts';

/** Points in the order of the operands, and the .vmx files among these. With `write` machines must be off. */
export async function servedPoints(
  operands: readonly string[],
  write: boolean,
  options: ChainOptions,
  context: CommandContext,
): Promise<{ points: ExportPoint[]; machines: string[] }> {
  const machines = operands.filter(isMachinePath);
  const points: ExportPoint[] = [];
  for (const path of operands) {
    if (!isMachinePath(path)) {
      points.push({ path });
      continue;
    }
    const machine = await openMachine(path, { ...options, signal: context.signal });
    if (write) {
      const accept = context.force ? (['unclean'] as const) : [];
      assertMachineUsable(machine, { verb: 'write to', changes: true, accept });
    } else warnIfInUse(machine, context);
    const stem = basename(path).replace(/\.[^.]*$/, '');
    points.push(...diskPointsOf(machine, machines.length > 1 ? `${stem}/` : ''));
  }
  return { points, machines: write ? machines : [] };
}

function warnIfInUse({ path, power }: Machine, context: CommandContext): void {
  if (power.state !== 'running') return;
  context.warn(
    `${path}: the machine is in use (${power.reasons.join('; ')}): its disks change while they are served; its snapshots do not`,
  );
}

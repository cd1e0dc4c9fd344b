// Before a disk of a machine is changed under it: the machine must be off. Rule: what cannot be told counts as running.
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { Machine } from './machine.ts';
import { openMachine, type OpenMachineOptions } from './open-machine.ts';

export interface OffOptions extends OpenMachineOptions {
  /** A machine that was not shut down cleanly counts as off. Default false. */
  readonly force?: boolean | undefined;
}

/**
 * The machine of a .vmx, which is off.
 * @throws VmdkError `machine-running`, `machine-suspended`, `machine-unclean` (refused).
 */
export async function assertMachineOff(
  store: FileStore,
  path: string,
  options: OffOptions,
): Promise<Machine> {
  const machine = await openMachine(path, {
    ...options,
    fs: store,
    onFinding: undefined,
    onProgress: undefined,
  });
  const { power, name } = machine;
  if (power.state === 'off' || (power.state === 'unclean' && options.force === true)) return machine;
  throw new VmdkError(
    'refused',
    `machine-${power.state}`,
    `a machine that uses the disk is not off: ${name}`,
    {
      path,
      found: power.reasons.join('; '),
      expected: 'a machine that was shut down',
      hint:
        power.state === 'unclean'
          ? 'If it is off all the same, pass --force.'
          : 'Shut it down first: it goes on with its disks as it knows them.',
    },
  );
}

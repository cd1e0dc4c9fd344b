// The limits of sharing disks for people: each with what it comes from and what releases it.
import type { MachineLimit } from '../machine/limits.ts';
import type { Paint } from './output.ts';

const COLOURS = { fits: 'green', near: 'yellow', exceeded: 'red', depends: 'yellow' } as const;

/** Those that are met or may be; all of them with `every`. */
export function limitLines(limits: readonly MachineLimit[], every: boolean, paint: Paint): string[] {
  return limits
    .filter(({ state }) => every || state !== 'fits')
    .flatMap(({ code, state, message, reason, release }) => [
      `limit ${code} (${paint(COLOURS[state], state)}): ${message}`,
      `  why: ${reason}`,
      `  way out: ${release}`,
    ]);
}

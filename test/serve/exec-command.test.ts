// A command that runs beside a server: its exit code, and its end when the server's comes first.
import { expect, it } from 'vitest';
import { runBeside } from '../../src/serve/exec-command.ts';

const FOR_LONG = `"${process.execPath}" -e "setTimeout(() => {}, 20000)"`;

it('gives the exit code of the command, or that of a shell for a signal', async () => {
  const ending = new AbortController();
  expect(await runBeside('exit 7', {}, ending.signal)).toBe(7);
  setTimeout(() => ending.abort(), 50);
  expect(await runBeside(`exec ${FOR_LONG}`, {}, ending.signal)).toBe(143);
});

it('ends at once what begins after the end was asked for', async () => {
  const before = performance.now();
  expect(await runBeside(`exec ${FOR_LONG}`, {}, AbortSignal.abort())).toBe(143);
  expect(performance.now() - before).toBeLessThan(10_000);
});

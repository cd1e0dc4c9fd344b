// `write` leaves a disk alone that somebody has locked, until it is told that nobody uses it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { vmdkit } from '../support/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmdkit-locked-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('write refuses a locked disk with exit code 4 and names the lock and the way out', async () => {
  await createDisk(join(folder, 'a.vmdk'), bytes(1 << 20), { type: 'monolithicSparse' });
  mkdirSync(join(folder, 'a.vmdk.lck'));
  writeFileSync(join(folder, 'a.vmdk.lck', 'M00001.lck'), 'uuid=1 4711-99(vmx) 1 X lc=1'.padEnd(512, '\0'));
  writeFileSync(join(folder, 'data'), 'hello');
  const args = ['write', join(folder, 'a.vmdk'), '--offset', '0', join(folder, 'data')];
  const refused = await vmdkit(args);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('a.vmdk.lck');
  expect(refused.stderr).toContain('--locked ignore');
  expect((await vmdkit([...args, '--locked', 'ignore'])).code).toBe(0);
});

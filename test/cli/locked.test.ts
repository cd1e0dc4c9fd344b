// `write` and `apply` leave a disk alone that somebody has locked, until they are told that nobody uses it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { vmdkit } from '../support/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmdkit-locked-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As a machine on another host does. */
function lock(name: string): void {
  const place = join(folder, `${name}.lck`);
  mkdirSync(place);
  writeFileSync(join(place, 'M00001.lck'), 'uuid=1 4711-99(vmx) 1 X lc=1'.padEnd(512, '\0'));
}

it('write refuses a locked disk with exit code 4 and names the lock and the way out', async () => {
  await createDisk(join(folder, 'a.vmdk'), bytes(1 << 20), { type: 'monolithicSparse' });
  lock('a.vmdk');
  writeFileSync(join(folder, 'data'), 'hello');
  const args = ['write', join(folder, 'a.vmdk'), '--offset', '0', join(folder, 'data')];
  const refused = await vmdkit(args);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('a.vmdk.lck');
  expect(refused.stderr).toContain('--locked ignore');
  expect((await vmdkit([...args, '--locked', 'ignore'])).code).toBe(0);
});

it('apply does the same', async () => {
  const at = (name: string): string => join(folder, name);
  for (const name of ['old.vmdk', 'new.vmdk'])
    await createDisk(at(name), bytes(1 << 20), { type: 'monolithicSparse' });
  expect((await vmdkit(['write', at('new.vmdk'), '--offset', '0', at('data')])).code).toBe(0);
  expect((await vmdkit(['diff', at('old.vmdk'), at('new.vmdk'), '-o', at('patch')])).code).toBe(0);
  lock('old.vmdk');
  const args = ['apply', at('patch'), at('old.vmdk')];
  const refused = await vmdkit(args);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('old.vmdk.lck');
  expect(refused.stderr).toContain('--locked ignore');
  expect((await vmdkit(['compare', at('old.vmdk'), at('new.vmdk')])).code).toBe(1);
  expect((await vmdkit([...args, '--locked', 'ignore'])).code).toBe(0);
  expect((await vmdkit(['compare', at('old.vmdk'), at('new.vmdk')])).code).toBe(0);
});

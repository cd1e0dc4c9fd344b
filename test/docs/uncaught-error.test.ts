// A program that uses the package and catches nothing: what Node prints is the place and the error, not the whole package.
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('leaves a short and telling message on standard error', () => {
  const program = `import { openChain } from '${new URL('../../dist/index.js', import.meta.url).href}';
    await openChain('/nowhere/disk.vmdk');`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toContain('VmdkError: /nowhere/disk.vmdk: cannot look up: there is no such file or folder');
  expect(Math.max(...stderr.split('\n').map((line) => line.length))).toBeLessThan(300);
});

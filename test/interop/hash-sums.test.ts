// Our sum files, checked by the programs they are for.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildCommand, quietly, temporaryFolder } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
  await writeFile(join(folder, 'leaf.raw'), chain.contents);
});
afterAll(() => remove());

describeWithPeer(['sha256sum', 'md5sum', 'hashdeep'], 'sum files', ({ sha256sum, md5sum, hashdeep }) => {
  const hash = (...args: string[]): Promise<string> =>
    quietly(['hash', chain.leaf, ...args], { cwd: folder });

  it('sha256sum and md5sum check them', async () => {
    const sums = await hash('--per-link', '--format', 'sum');
    expect(await sha256sum.ok(['--strict', '-c'], { cwd: folder, input: sums })).toBe(
      'leaf.raw: OK\nleaf.vmdk: OK\nmid.vmdk: OK\nbase.vmdk: OK\n',
    );
    const tags = await hash('--algo', 'md5,sha256', '--format', 'tag');
    expect(await md5sum.ok(['-c'], { cwd: folder, input: tags })).toBe('leaf.raw: OK\n');
    expect(await sha256sum.ok(['-c'], { cwd: folder, input: tags })).toBe('leaf.raw: OK\n');
  });

  it('hashdeep audits them, and names pieces alike', async () => {
    const args = ['--algo', 'md5,sha256', '--format', 'hashdeep'];
    await writeFile(join(folder, 'known.deep'), await hash('--per-link', ...args));
    const files = ['leaf.raw', 'leaf.vmdk', 'mid.vmdk', 'base.vmdk'];
    const audit = await hashdeep.ok(['-a', '-vv', '-l', '-k', 'known.deep', ...files], { cwd: folder });
    expect(audit).toContain('Audit passed');
    expect(audit).toMatch(/Files matched: 4\n[^]*Files partially matched: 0\n[^]*Files moved: 0\n/);
    const ours = (await hash('--piece', '3M', ...args))
      .split('\n')
      .filter((line) => line.includes(' offset '));
    const theirs = await hashdeep.ok(['-l', '-p', '3m', '-c', 'md5,sha256', 'leaf.raw'], { cwd: folder });
    expect(ours.length).toBe(3);
    expect(ours).toEqual(theirs.split('\n').filter((line) => line.includes(' offset ')));
  });
});

// `vmdkit serve --http` as a user runs it: alone, beside NBD, and as the base of a chain on another host.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildCommand, COMMAND, runApart, temporaryFolder } from '../support/command.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
}, 60_000);
afterAll(() => remove());

describe('vmdkit serve --http', () => {
  it('serves the content of each link on the loopback, for as long as a command runs', async () => {
    const script = join(folder, 'read.mjs');
    await writeFile(
      script,
      `import { createHash } from 'node:crypto';
       const { exports } = await (await fetch(process.env.http + 'index.json')).json();
       const whole = Buffer.from(await (await fetch(process.env.uri)).arrayBuffer());
       const names = exports.map(({ name }) => name);
       console.log(JSON.stringify({ uri: process.env.uri, names, hash: createHash('sha256').update(whole).digest('hex') }));`,
    );
    const args = ['serve', chain.leaf, '--http', '0', '--exec', `"${process.execPath}" "${script}"`];
    const { stdout, stderr, code } = await runApart(args);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(JSON.parse(stdout.toString())).toEqual({
      uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/disks\/leaf\.vmdk\.raw$/) as string,
      names: ['leaf.vmdk', 'mid.vmdk', 'base.vmdk'],
      hash: createHash('sha256').update(chain.contents).digest('hex'),
    });
    const both = ['serve', chain.leaf, '--http', 'localhost:0', '--nbd', 'nbd://localhost:0'];
    const beside = await runApart([...both, '--exec', 'echo "$uri $http"']);
    expect(beside.stdout.toString()).toMatch(/^nbd:\/\/localhost:\d+\/ http:\/\/localhost:\d+\/\n$/);
  }, 60_000);

  it('warns of an address that others reach, and refuses what is none', async () => {
    const open = await runApart(['serve', chain.leaf, '--http', '0.0.0.0:0', '--exec', 'true']);
    expect(open.stderr).toContain('--http 0.0.0.0:0: whoever reaches this address reads the disks');
    const wrong = await runApart(['serve', chain.leaf, '--http', 'localhost']);
    expect(wrong).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain('"localhost" is no place to serve at');
  }, 60_000);

  it('gives vmdkit elsewhere the content to read, as of any web server', async () => {
    const read = `"${process.execPath}" "${COMMAND}" convert "$uri" - --from raw --allow-origin "$http"`;
    const args = ['serve', chain.leaf, '--http', '0', '--exec', `${read} -O raw | wc -c`];
    const { stdout, stderr } = await runApart(args);
    expect({ stderr, bytes: Number(stdout.toString()) }).toEqual({
      stderr: '',
      bytes: chain.contents.length,
    });
  }, 60_000);
});

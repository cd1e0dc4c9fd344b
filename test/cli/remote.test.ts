// The command line with a base on a web server and in an S3-compatible store: one option opens the network, and without
// it nobody is asked anything.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildCommand, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { ObjectServer } from '../support/object-server.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/of+it', region: 'eu-test-1' };
const server = new ObjectServer();
const s3 = new ObjectServer(KEYS);
let origin: string;
let env: Record<string, string>;
let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
  // From here nothing leads to the parents that are here as well.
  await mkdir(join(folder, 'apart'));
  origin = await server.listen();
  env = {
    AWS_ENDPOINT_URL: await s3.listen(),
    AWS_REGION: KEYS.region,
    AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  };
  for (const name of ['base', 'mid', 'leaf']) {
    const bytes = await readFile(join(folder, `${name}.vmdk`));
    server.put(`/golden/${name}.vmdk`, bytes);
    s3.put(`/bucket/golden/${name}.vmdk`, bytes);
  }
}, 60_000);
afterAll(async () => {
  await Promise.all([server.close(), s3.close()]);
  await remove();
});

describe('a base elsewhere', () => {
  it('is refused, with the option that would allow it, before anybody is asked', async () => {
    const url = `${origin}/golden/leaf.vmdk`;
    const asked = server.asked.length;
    const { code, stderr } = await vmdkit(['info', url]);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `vmdkit: ${url}: may not be read over the network\n  To trust what lies there, allow it: --allow-origin ${origin}/golden\n`,
    });
    expect(server.asked).toHaveLength(asked);
    const wrong = await vmdkit(['info', url, '--allow-origin', 'store.example']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('this is no prefix of URLs');
  }, 30_000);

  it('takes a delta, reads as ever, and stays as it is', async () => {
    const allow = ['--allow-origin', `${origin}/golden`];
    const mine = join(folder, 'apart', 'mine.vmdk');
    const made = await vmdkit(['create', mine, '--backing', `${origin}/golden/leaf.vmdk`, ...allow]);
    expect(made.code).toBe(0);
    expect(made.stderr).toContain(`above ${origin}/golden/leaf.vmdk`);
    expect(made.stderr).toContain(`open it with --allow-origin ${origin}/golden`);
    const written = await vmdkit(['write', mine, '--offset', '1M', ...allow], { input: 'mine' });
    expect(written).toMatchObject({ code: 0 });
    const wanted = Buffer.from(chain.contents);
    wanted.write('mine', 1 << 20);
    const { stdout } = await vmdkit(['cat', mine, ...allow]);
    expect(hex(stdout)).toBe(hex(wanted));
    const report = await json<{ links: { filename: string; 'found-by': string }[] }>('chain', [
      'chain',
      mine,
      ...allow,
    ]);
    expect(report.links.map((link) => [link.filename, link['found-by']])).toEqual([
      [mine, 'named'],
      [`${origin}/golden/leaf.vmdk`, 'hint'],
      [`${origin}/golden/mid.vmdk`, 'hint'],
      [`${origin}/golden/base.vmdk`, 'hint'],
    ]);
    expect(await quietly(['check', mine, '--chain', ...allow])).toContain(`${origin}/golden/base.vmdk`);
    const url = `${origin}/golden/leaf.vmdk`;
    const refused = await vmdkit(['write', url, '--offset', '0', ...allow], {
      input: 'x',
    });
    expect(refused).toMatchObject({ code: 4 });
    expect(refused.stderr).toContain('a remote file is only read');
    for (const args of [
      ['resize', url, '1G'],
      ['guard', url],
      ['remove', url],
    ]) {
      const changed = await vmdkit([...args, ...allow]);
      expect([changed.code, changed.stderr.split('\n')[0]], args[0]).toEqual([
        4,
        `vmdkit: ${url}: a remote file is only read`,
      ]);
    }
    const record = join(folder, 'record.json');
    const looked = await vmdkit(['cat', url, '--length', '1s', '--manifest', record, ...allow]);
    expect(looked).toMatchObject({ code: 0 });
    const { files, folders, unchanged } = JSON.parse(await readFile(record, 'utf8')) as {
      files: { filename: string }[];
      folders: unknown[];
      unchanged: boolean;
    };
    expect({ unchanged, folders }).toEqual({ unchanged: true, folders: [] });
    expect(files.map(({ filename }) => filename)).toContain(url);
    const outside = await vmdkit(['cat', mine, '--allow-origin', `${origin}/other`]);
    expect(outside).toMatchObject({ code: 3 });
    expect(outside.stderr).toContain('outside the allowed origins (see --allow-origin)');
  }, 60_000);

  it.each([['hash'], ['slack'], ['info'], ['info', '--evidence'], ['cat'], ['compare']])(
    'is asked for once by %s when it is not there',
    async (name, ...more) => {
      const url = `${origin}/golden/gone.vmdk`;
      const asked = server.asked.length;
      const operands = name === 'compare' ? [url, url] : [url];
      const gone = await vmdkit([name, ...operands, ...more, '--allow-origin', origin]);
      expect({ code: gone.code, asked: server.asked.length - asked }).toEqual({ code: 3, asked: 1 });
      expect(gone.stderr).toContain(`${url}: cannot open: there is no such file`);
    },
  );

  it('in an S3-compatible store is found by a path map, with keys of the environment, and cloned', async () => {
    const allow = ['--allow-origin', 's3://bucket'];
    const compared = await vmdkit(['compare', chain.leaf, 's3://bucket/golden/leaf.vmdk', ...allow], { env });
    expect(compared).toMatchObject({ code: 0 });
    const cloned = await vmdkit(
      ['clone', 's3://bucket/golden/leaf.vmdk', '--into', join(folder, 'lab'), '--count', '2', ...allow],
      { env },
    );
    expect(cloned).toMatchObject({ code: 0 });
    const text = await readFile(join(folder, 'lab', 'leaf-clone-02.vmdk'), 'latin1');
    expect(text).toContain('parentFileNameHint="s3://bucket/golden/leaf.vmdk"');
    // As VMware left it.
    const old = join(folder, 'apart', 'old.vmdk');
    await quietly(['create', old, '--backing', chain.leaf, '--hint', '[ds1] golden/leaf.vmdk', '-q']);
    const map = ['--map', '[ds1]=s3://bucket', ...allow];
    const { stdout, code } = await vmdkit(['cat', old, ...map], { env });
    expect(code).toBe(0);
    expect(hex(stdout)).toBe(hex(chain.contents));
    const info = await vmdkit(['info', 's3://bucket/golden/leaf.vmdk', ...allow], {
      env: { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' },
    });
    expect(info).toMatchObject({ code: 3 });
    expect(info.stderr).toContain('SignatureDoesNotMatch');
  }, 60_000);
});

function hex(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

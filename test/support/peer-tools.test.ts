// The helper that finds peers and the corpus: it must tell a missing one apart from one that fails.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import {
  corpusFolder,
  describeWithCorpus,
  describeWithPeer,
  findPeer,
  hasQemuModule,
  missingPeers,
} from './peer-tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmdkit-peers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FAKE = '#!/bin/sh\nread line\necho "out $1 $line"\necho err >&2\nexit "$2"\n';

it('runs the peer found on the PATH and gives output and exit code', async () => {
  writeFileSync(join(folder, 'qemu-img'), FAKE, { mode: 0o755 });
  const peer = findPeer('qemu-img', `/nowhere:${folder}`);
  expect(peer?.path).toBe(join(folder, 'qemu-img'));
  expect(await peer?.run(['a', '3'], { input: 'in\n' })).toEqual({
    stdout: 'out a in\n',
    stderr: 'err\n',
    code: 3,
  });
  expect(await peer?.ok(['b', '0'])).toBe('out b \n');
  await expect(peer?.ok(['c', '4'])).rejects.toThrow('qemu-img c 4: exit code 4: err');
});

it('finds nothing where the PATH has no such program', () => {
  writeFileSync(join(folder, 'qemu-io'), FAKE, { mode: 0o644 });
  expect(findPeer('qemu-io', folder)).toBeUndefined();
});

it("finds a module of QEMU's below a folder for any kind of machine", () => {
  const libraries = [join(folder, 'nowhere'), join(folder, 'lib')];
  mkdirSync(join(folder, 'lib/aarch64-linux-gnu/qemu'), { recursive: true });
  expect(hasQemuModule('block-curl.so', libraries)).toBe(false);
  writeFileSync(join(folder, 'lib/aarch64-linux-gnu/qemu/block-curl.so'), '');
  expect(hasQemuModule('block-curl.so', libraries)).toBe(true);
});

it('says what is missing and what installs it', () => {
  expect(missingPeers(['qemu-img'])).toBe(
    'interop: qemu-img is missing; install it with: apt-get install qemu-utils',
  );
  expect(missingPeers(['qemu-img', 'qemu-io', '7zz'])).toBe(
    'interop: qemu-img, qemu-io, 7zz are missing; install them with: apt-get install qemu-utils 7zip',
  );
  expect(missingPeers(['block-curl.so'])).toBe(
    'interop: block-curl.so is missing; install it with: apt-get install qemu-block-extra',
  );
});

it('finds the corpus where VMDKIT_CORPUS says, and in CI insists on it', () => {
  writeFileSync(join(folder, 'expected.json'), '{}');
  expect(corpusFolder({ VMDKIT_CORPUS: folder }, true)).toBe(folder);
  const nowhere = { VMDKIT_CORPUS: join(folder, 'nowhere') };
  expect(corpusFolder(nowhere, false)).toBeUndefined();
  expect(() => corpusFolder(nowhere, true)).toThrow('VMDKIT_CORPUS');
});

describeWithPeer(['qemu-img', 'vmdkinfo'], 'peers on this machine', (peers) => {
  it('run', async () => {
    expect(await peers['qemu-img'].ok(['--version'])).toContain('qemu-img version');
    expect((await peers.vmdkinfo.run(['-V'])).stdout).toContain('vmdkinfo');
  });
});

describeWithCorpus('the corpus on this machine', (corpus) => {
  it('is a folder that exists', () => expect(corpusFolder({ VMDKIT_CORPUS: corpus }, true)).toBe(corpus));
});

// The real file system: what every store promises, with both ways of reading, and what only a real one can do.
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore, type NodeFileStoreOptions } from '../../src/storage/node-file-store.ts';
import { contentOf, describeStore, expectFailure, makeFifo, put } from './store-suite.ts';

const makeIn = (options: NodeFileStoreOptions) => () => {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-store-')));
  return {
    store: createNodeFileStore(options),
    folder,
    cleanUp: () => fs.rmSync(folder, { recursive: true }),
  };
};

describeStore('node:fs', makeIn({}));
describeStore('node:fs, reads in threads', makeIn({ reads: 'callback' }));
describeStore('node:fs, synchronous reads', makeIn({ reads: 'sync' }));
describeStore('node:fs, synchronous look-ups', makeIn({ lookUps: 'sync' }));
describeStore('node:fs without natives', makeIn({ native: false }));

describe('the store on node:fs', () => {
  const store = createNodeFileStore();
  let folder: string;
  const at = (name: string): string => join(folder, name);

  beforeEach(() => {
    folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-node-')));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  it('changes neither the access time nor the modification time of what it reads', async () => {
    fs.writeFileSync(at('evidence'), 'evidence');
    // An access time before the modification time is what "relatime" mounts would bring up to date.
    fs.utimesSync(at('evidence'), 1_000_000, 2_000_000);
    const before = fs.statSync(at('evidence'), { bigint: true });
    expect(await contentOf(store, at('evidence'))).toBe('evidence');
    await store.resolve(at('evidence'));
    const after = fs.statSync(at('evidence'), { bigint: true });
    expect([after.atimeNs, after.mtimeNs, after.ctimeNs]).toEqual([
      before.atimeNs,
      before.mtimeNs,
      before.ctimeNs,
    ]);
  });

  it.each(['read', 'update'] as const)(
    'refuses devices, FIFOs and sockets at once when opened to %s',
    async (mode) => {
      makeFifo(at('fifo'));
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
      const open = (path: string): Promise<unknown> =>
        mode === 'read' ? store.open(path, 'read') : store.open(path, 'update');
      await expectFailure(open(at('fifo')), 'not-a-file', 'found a FIFO');
      await expectFailure(open('/dev/zero'), 'not-a-file', 'found a device');
      await expectFailure(open(at('socket')), 'not-a-file', 'found a socket');
      await new Promise((resolve) => server.close(resolve));
    },
  );

  it('tells the file system that a file or folder is on, as stat does', async () => {
    fs.writeFileSync(at('here'), 'x');
    for (const path of [at('here'), at('.'), '/dev'])
      expect((await store.resolve(path)).device).toBe(String(fs.statSync(path).dev));
  });

  it('follows links to the file and gives hard links one identity', async () => {
    fs.mkdirSync(at('d'));
    fs.writeFileSync(at('d/a'), 'hello');
    fs.symlinkSync('d/a', at('soft'));
    fs.linkSync(at('d/a'), at('hard'));
    expect(await store.resolve(at('soft'))).toMatchObject({ path: at('d/a'), kind: 'file', size: 5 });
    expect((await store.resolve(at('hard'))).identity).toBe((await store.resolve(at('soft'))).identity);
    expect(await contentOf(store, at('soft'))).toBe('hello');
  });

  it('says that links lead round in a circle', async () => {
    fs.symlinkSync('b', at('a'));
    fs.symlinkSync('a', at('b'));
    await expectFailure(store.open(at('a'), 'read'), 'symbolic-link-loop', at('a'));
  });

  it('names the kinds of what is no file', async () => {
    makeFifo(at('fifo'));
    expect((await store.resolve(at('fifo'))).kind).toBe('fifo');
    expect((await store.resolve('/dev/zero')).kind).toBe('device');
  });

  it('replaces a file with the mode it had, through a link to it, other hard links keeping the old text', async () => {
    fs.writeFileSync(at('a'), 'old', { mode: 0o640 });
    fs.chmodSync(at('a'), 0o640);
    fs.linkSync(at('a'), at('hard'));
    fs.symlinkSync('a', at('soft'));
    await store.replace(at('soft'), new TextEncoder().encode('new'));
    expect(fs.readFileSync(at('a'), 'utf8')).toBe('new');
    expect(fs.readFileSync(at('hard'), 'utf8')).toBe('old');
    expect(fs.statSync(at('a')).mode & 0o7777).toBe(0o640);
    expect(fs.lstatSync(at('soft')).isSymbolicLink()).toBe(true);
    expect(fs.readdirSync(folder).toSorted()).toEqual(['a', 'hard', 'soft']);
  });

  it('replaces a file whose name is as long as names can be', async () => {
    const name = at('ü'.repeat(127));
    await store.replace(name, new TextEncoder().encode('new'));
    expect(fs.readFileSync(name, 'utf8')).toBe('new');
  });

  it('leaves the old file and no temporary one when a replacement fails', async () => {
    fs.writeFileSync(at('a'), 'old');
    const notBytes = { length: 3 } as unknown as Uint8Array;
    await expect(store.replace(at('a'), notBytes)).rejects.toBeInstanceOf(TypeError);
    expect(fs.readdirSync(folder)).toEqual(['a']);
    expect(fs.readFileSync(at('a'), 'utf8')).toBe('old');
    const tooLong = at('x'.repeat(256));
    await expectFailure(store.replace(tooLong, new Uint8Array(3)), 'name-too-long', tooLong);
  });

  it('answers holes and data as the file system has them', async () => {
    const file = await store.create(at('sparse'));
    await file.resize(64 << 20);
    await file.write(new Uint8Array(65_536).fill(1), 16 << 20);
    expect(await file.stretches?.(0, 64 << 20)).toEqual([
      { start: 0, length: 16 << 20, data: false },
      { start: 16 << 20, length: 65_536, data: true },
      { start: (16 << 20) + 65_536, length: (48 << 20) - 65_536, data: false },
    ]);
    expect(await file.stretches?.((16 << 20) + 512, 512)).toEqual([
      { start: (16 << 20) + 512, length: 512, data: true },
    ]);
    await file.close();
    expect((await store.resolve(at('sparse'))).allocated).toBe(65_536);
  });

  it('knows nothing of holes without natives', async () => {
    const plain = createNodeFileStore({ native: false });
    await put(plain, at('a'), 'hello');
    const file = await plain.open(at('a'), 'read');
    expect(await file.stretches?.(0, 5)).toBeUndefined();
    await file.close();
  });

  it('reads and writes past 4 GiB', async () => {
    const file = await store.create(at('far'));
    await file.write(new TextEncoder().encode('far'), 5 * 2 ** 30);
    const bytes = new Uint8Array(3);
    await file.readExactly(bytes, 5 * 2 ** 30);
    expect(new TextDecoder().decode(bytes)).toBe('far');
    await file.close();
  });
});

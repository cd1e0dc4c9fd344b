// The optional native calls: what they answer where they load, and that everything else is silence.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadNatives } from '../../src/storage/natives.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'vmdkit-natives-'));
});
afterEach(() => {
  vi.doUnmock('koffi');
  vi.restoreAllMocks();
  fs.rmSync(folder, { recursive: true });
});

describe.runIf(process.platform === 'linux')('natives on Linux', () => {
  it('find data and holes, and punch them', async () => {
    const natives = await loadNatives();
    if (natives === undefined) throw new Error('koffi is missing: npm ci installs it');
    const fd = fs.openSync(join(folder, 'a'), 'w+');
    fs.writeSync(fd, new Uint8Array(262_144).fill(1), 0, 262_144, 0);
    fs.fsyncSync(fd);
    expect([natives.seekData(fd, 0), natives.seekHole(fd, 0)]).toEqual([0, 262_144]);
    expect(natives.punchHole(fd, 65_536, 131_072)).toBe(true);
    expect([natives.seekHole(fd, 0), natives.seekData(fd, 65_536)]).toEqual([65_536, 196_608]);
    expect(fs.fstatSync(fd).size).toBe(262_144);
    expect(natives.punchHole(fd, 0, 262_144)).toBe(true);
    expect(natives.seekData(fd, 0)).toBeUndefined();
    fs.closeSync(fd);
    expect(() => natives.seekData(fd, 0)).toThrow('lseek failed');
    expect(natives.punchHole(fd, 0, 1)).toBe(false);
  });
});

describe('natives', () => {
  it('that fail to load are passed over in silence', async () => {
    const said = vi.spyOn(process.stderr, 'write');
    vi.doMock('koffi', () => {
      throw new Error('built for another machine');
    });
    expect(await loadNatives()).toBeUndefined();
    const store = createNodeFileStore();
    const file = await store.create(join(folder, 'a'));
    await file.resize(1 << 20);
    expect(await file.stretches?.(0, 1 << 20)).toBeUndefined();
    await file.close();
    expect(said).not.toHaveBeenCalled();
  });

  it('are not even loaded when they are not wanted', async () => {
    let loaded = 0;
    vi.doMock('koffi', () => {
      loaded++;
      return { default: {} };
    });
    const path = join(folder, 'a');
    fs.writeFileSync(path, 'hello');
    const asked = async (native: boolean): Promise<void> => {
      const file = await createNodeFileStore({ native }).open(path, 'read');
      await file.stretches?.(0, 5);
      await file.close();
    };
    await asked(false);
    expect(loaded).toBe(0);
    await asked(true);
    if (process.platform === 'linux') expect(loaded).toBe(1);
  });
});

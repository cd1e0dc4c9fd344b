// Who stands on a disk: found by scanning around it and where the register says; the register alone is never believed.
import { beforeEach, describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import {
  assertNoSharers,
  findSharers,
  forgetSharers,
  rebuildRegisters,
  recordSharers,
} from '../../src/machine/sharers.ts';
import { parseRegister, readRegister, REGISTER_NAME } from '../../src/machine/sharers-register.ts';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeDatastore, makeFolders, writeText } from '../support/scan-model.ts';

const GOLDEN = '/vol/ds/golden/golden.vmdk';
const REGISTER = `/vol/ds/golden/${REGISTER_NAME}`;
let store: FileStore;

beforeEach(async () => {
  store = createMemoryFileStore();
  await makeFolders(store, '/vol');
  await makeDatastore(store, '/vol/ds');
});

const paths = (disks: readonly { path: string }[]): string[] => disks.map(({ path }) => path);

async function refusal(work: Promise<unknown>): Promise<Error> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(isVmdkError(error, 'base-has-children')).toBe(true);
  return error as Error;
}

describe('the sharers of a disk', () => {
  it('are found in its own folder and in the folders beside it, with the machines that use them', async () => {
    const { disks, machines, notes, unconfirmed } = await findSharers(store, GOLDEN);
    expect(paths(disks)).toEqual([
      '/vol/ds/golden/golden-000001.vmdk',
      '/vol/ds/web-1/web-1.vmdk',
      '/vol/ds/web-2/web-2.vmdk',
    ]);
    expect(machines).toEqual(
      ['golden/golden', 'web-1/web-1', 'web-2/web-2'].map((name) => `/vol/ds/${name}.vmx`),
    );
    expect({ notes, unconfirmed }).toEqual({ notes: [], unconfirmed: [] });
  });

  it('are none for a leaf', async () => {
    expect((await findSharers(store, '/vol/ds/web-1/web-1.vmdk')).disks).toEqual([]);
    await assertNoSharers(store, '/vol/ds/web-1/web-1.vmdk', 'writing');
  });

  it('include what stands on a disk that stands on it', async () => {
    await createDelta('/vol/ds/web-1/web-1-000001.vmdk', '/vol/ds/web-1/web-1.vmdk', { fs: store });
    expect(paths((await findSharers(store, GOLDEN)).disks)).toContain('/vol/ds/web-1/web-1-000001.vmdk');
  });

  it('are named in the refusal, with the way out', async () => {
    const { message } = await refusal(assertNoSharers(store, GOLDEN, 'writing to this disk'));
    expect(message).toContain(`${GOLDEN}: writing to this disk would break the disks that stand on it`);
    expect(message).toContain(
      'found 3 disks: /vol/ds/golden/golden-000001.vmdk, /vol/ds/web-1/web-1.vmdk, /vol/ds/web-2/web-2.vmdk',
    );
    expect(message).toContain('--force');
  });

  it('are found far away where the register says, and only when they lead here', async () => {
    await makeFolders(store, '/vol/far', '/vol/far/a');
    await createDelta('/vol/far/a/far.vmdk', GOLDEN, { fs: store, hint: 'absolute' });
    expect(paths((await findSharers(store, GOLDEN)).disks)).not.toContain('/vol/far/a/far.vmdk');
    expect(await recordSharers(store, GOLDEN, ['/vol/far/a/far.vmdk'])).toEqual({ path: GOLDEN });
    const strict = await findSharers(store, GOLDEN);
    expect(strict.unconfirmed).toEqual([
      { path: '/vol/far/a/far.vmdk', reason: 'outside the folders that are looked into' },
    ]);
    const allowed = await findSharers(store, GOLDEN, { allow: ['/vol'] });
    expect(paths(allowed.disks)).toContain('/vol/far/a/far.vmdk');
    expect(allowed.unconfirmed).toEqual([]);
  });

  it('are not what the register says when the file is gone or stands on something else', async () => {
    await makeFolders(store, '/vol/ds/deep', '/vol/ds/deep/er');
    await createDelta('/vol/ds/deep/er/x.vmdk', '/vol/ds/web-1/web-1.vmdk', { fs: store });
    await writeText(
      store,
      '/vol/ds/web-2/.vmdkit-sharers.json',
      JSON.stringify({
        schema: 'vmdkit-sharers/v1',
        disks: { 'web-2.vmdk': ['../gone/gone.vmdk', '../deep/er/x.vmdk', '../golden/golden.vmx'] },
      }),
    );
    const { disks, unconfirmed } = await findSharers(store, '/vol/ds/web-2/web-2.vmdk');
    expect({ disks, unconfirmed }).toEqual({ disks: [], unconfirmed: [] });
  });

  it('are refused for when only the register knows of one that may not be looked at', async () => {
    await recordSharers(store, '/vol/ds/web-2/web-2.vmdk', ['/elsewhere/x.vmdk']);
    const { message } = await refusal(assertNoSharers(store, '/vol/ds/web-2/web-2.vmdk', 'writing'));
    expect(message).toContain(
      '/elsewhere/x.vmdk (by the register; outside the folders that are looked into)',
    );
    expect(message).toContain('writing may break what stands on it');
    expect(message).toContain('--allow DIR');
  });
});

describe('the register', () => {
  it('is written beside the base, relative where that travels, and leaves the base as it is', async () => {
    const before = await store.resolve(GOLDEN);
    await recordSharers(store, GOLDEN, ['/vol/ds/web-1/web-1.vmdk', '/far/x.vmdk']);
    await recordSharers(store, GOLDEN, ['/vol/ds/web-1/web-1.vmdk', '/vol/ds/golden/golden-000001.vmdk']);
    expect(await store.resolve(GOLDEN)).toEqual(before);
    expect(JSON.parse(await text(REGISTER))).toMatchObject({
      schema: 'vmdkit-sharers/v1',
      disks: { 'golden.vmdk': ['../web-1/web-1.vmdk', '/far/x.vmdk', 'golden-000001.vmdk'] },
    });
    await forgetSharers(store, GOLDEN, ['/far/x.vmdk', '/vol/ds/web-1/web-1.vmdk']);
    expect((await readRegister(store, '/vol/ds/golden')).register.get('golden.vmdk')).toEqual([
      '/vol/ds/golden/golden-000001.vmdk',
    ]);
    await forgetSharers(store, GOLDEN, ['/vol/ds/golden/golden-000001.vmdk']);
    expect(await store.exists(REGISTER)).toBe(false);
  });

  it('says in a note why it was not written, and never fails', async () => {
    const readOnly: FileStore = {
      ...store,
      replace: (path) => store.open(`${path}/no`, 'read').then(() => undefined),
    };
    const { note } = await recordSharers(readOnly, GOLDEN, ['/vol/ds/web-1/web-1.vmdk']);
    expect(note).toContain('is not recorded');
    await writeText(store, REGISTER, '{"schema": "vmdkit-sharers/v2", "disks": {}}');
    const later = await recordSharers(store, GOLDEN, ['/vol/ds/web-1/web-1.vmdk']);
    expect(later.note).toContain('left as it is: it is no vmdkit-sharers/v1');
    expect(await text(REGISTER)).toContain('v2');
  });

  it.each([
    ['no JSON', '{', 'it is no JSON object'],
    ['a list', '[]', 'it is no JSON object'],
    ['another document', '{"schema": "x"}', 'it is no vmdkit-sharers/v1'],
    [
      'odd entries',
      '{"schema":"vmdkit-sharers/v1","disks":{"__proto__":["x"],"../up.vmdk":["a"],"a.vmdk":[1,"",null,"b.vmdk","b.vmdk"],"b.vmdk":"x"}}',
      '5 of its entries are no paths, or too many',
    ],
  ])('is not believed when it is %s', async (_, content, problem) => {
    const read = parseRegister(content, '/vol/ds/golden');
    expect(read.problem).toBe(problem);
    await writeText(store, REGISTER, content);
    const { disks, notes } = await findSharers(store, GOLDEN);
    expect(disks).toHaveLength(3);
    expect(notes).toEqual([`the register in /vol/ds/golden is not believed: ${problem}`]);
  });

  it('is rebuilt from a scan, keeps what it says of far places, and goes where nobody stands on anything', async () => {
    await writeText(
      store,
      REGISTER,
      JSON.stringify({
        schema: 'vmdkit-sharers/v1',
        disks: { 'golden.vmdk': ['/far/x.vmdk', '../gone/gone.vmdk'], 'old.vmdk': ['y.vmdk'] },
      }),
    );
    await recordSharers(store, '/vol/ds/web-1/web-1.vmdk', ['/vol/ds/web-1/gone.vmdk']);
    const forest = await scanFolder('/vol/ds', { fs: store });
    expect(await rebuildRegisters(store, forest)).toEqual({ written: ['/vol/ds/golden'], notes: [] });
    expect(JSON.parse(await text(REGISTER))).toMatchObject({
      disks: {
        'golden.vmdk': ['../web-1/web-1.vmdk', '../web-2/web-2.vmdk', '/far/x.vmdk', 'golden-000001.vmdk'],
      },
    });
    expect(await text(REGISTER)).not.toContain('old.vmdk');
    expect(await store.exists(`/vol/ds/web-1/${REGISTER_NAME}`)).toBe(false);
  });
});

async function text(path: string): Promise<string> {
  const file = await store.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.readExactly(bytes, 0);
  await file.close();
  return bytes.toString();
}

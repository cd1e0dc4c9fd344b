// Names that are no paths of files, given by a person: each is answered by what it is and what to do, unless there is
// such a file.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeSmallChain } from '../support/small-chain.ts';

const fs = createMemoryFileStore();
const opened = (name: string) => openChain(name, 'read', { fs });

describe('a name that is no path', () => {
  it.each([
    ['nbd://host:10809/x', 'the protocol nbd', "nbdcopy 'nbd://host:10809/x' FILE"],
    [
      'nbd+unix:///x?socket=/run/s',
      'the protocol nbd+unix',
      "nbdfuse -r DIR/FILE 'nbd+unix:///x?socket=/run/s'",
    ],
    ['nbd:unix:/run/s:exportname=x', 'the protocol nbd', "nbdcopy 'nbd://HOST:PORT/EXPORT' FILE"],
    ['json:{"file":{"driver":"file","filename":"/d/x.vmdk"}}', 'the protocol json', 'here /d/x.vmdk.'],
    ['json:{"file.filename":"x.vmdk"}', 'the protocol json', 'here x.vmdk.'],
    ['json:{}', 'the protocol json', 'Name the file of the disk itself.'],
    ['ssh://root@esx/vmfs/volumes/ds1/x.vmdk', 'the protocol ssh', 'scp'],
    ['rbd:pool/image', 'the protocol rbd', 'rbd export IMAGE FILE'],
    ['file:///d/x.vmdk', 'the protocol file', 'by its path: /d/x.vmdk'],
    ['file:x.vmdk', 'the protocol file', 'by its path: x.vmdk'],
    ['s3:bucket/x.vmdk', 'the protocol s3', 'If a URL is meant: s3://bucket/x.vmdk'],
    ['https:/host/x.vmdk', 'the protocol https', 'If a URL is meant: https://host/x.vmdk'],
    ['gs://bucket/x.vmdk', 'the protocol gs', 'Copy what is there to a file'],
    ['iscsi://host/target/1', 'the protocol iscsi', 'Devices are never opened'],
    ['vsan://1234', 'the protocol vsan', 'where the vSAN is'],
    ['[ds1] vm/x.vmdk', "a path on a datastore of VMware's", 'below the folder where that is mounted'],
    ['C:\\vm\\x.vmdk', 'a path on a Windows drive', 'below the folder where that is mounted'],
  ])('%s: says what it is, and what to do instead', async (name, found, way) => {
    const hint = expect.stringContaining(way) as string;
    await expect(opened(name)).rejects.toMatchObject({
      kind: 'unsupported',
      code: 'not-a-file-name',
      context: { path: name, found, hint },
    });
    await expect(opened(name)).rejects.toThrow(`A file that is really called so: ./${name}`);
  });

  it('is taken as a path where there is such a file, by its name alone and with ./ before it', async () => {
    await makeSmallChain('/', fs);
    for (const name of ['nbd:x.vmdk', 'json:{}', '[ds1] x.vmdk', 'C:\\x.vmdk']) {
      await fs.rename('/base.vmdk', `/${name}`);
      for (const path of [name, `./${name}`]) await (await opened(path)).close();
      await fs.rename(`/${name}`, '/base.vmdk');
      await expect(opened(`./${name}`)).rejects.toMatchObject({ code: 'file-missing' });
    }
  });

  it('leaves URLs to what may be read over the network, and missing files to be missing', async () => {
    await expect(opened('https://store.example/x.vmdk')).rejects.toMatchObject({
      code: 'origin-not-allowed',
    });
    for (const name of ['x.vmdk', '/a:b/x.vmdk', 'vm: old.vmdk', 'a:b.vmdk'])
      await expect(opened(name), name).rejects.toMatchObject({ code: 'file-missing' });
  });

  it('is a mistake of the caller where there is none', async () => {
    await expect(opened('')).rejects.toMatchObject({ kind: 'usage', code: 'usage' });
  });
});

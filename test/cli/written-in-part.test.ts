// A write in place that fails: said when something was written by then, and only then.
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { main } from '../../src/cli/main.ts';
import { tellingWhatIsInPart } from '../../src/cli/written-in-part.ts';
import type { CommandContext } from '../../src/cli/context.ts';
import { VmdkError } from '../../src/core/errors.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { quietly, temporaryFolder } from '../support/command.ts';

describe('a write in place that fails', () => {
  const stopped = new Error('stopped');
  const differs = new VmdkError('corrupt', 'patch-result-differs', 'the patch is applied');
  it.each([
    ['before the first byte', false, stopped, 'human', []],
    [
      'half-way',
      true,
      stopped,
      'human',
      ['/d.vmdk: some of it is written, and what was written stays: again'],
    ],
    ['half-way, for a program', true, stopped, 'json', []],
    ['with all written', true, differs, 'human', []],
  ] as const)('%s', async (_when, writes, failure, format, said) => {
    const fs = createMemoryFileStore();
    await createDisk('/d.vmdk', bytes(1 << 20), { fs, type: 'monolithicSparse' });
    const chain = await openChain('/d.vmdk', 'update', { fs });
    const warnings: string[] = [];
    const context = { format, warn: (text: string) => void warnings.push(text) } as unknown as CommandContext;
    const work = async (): Promise<never> => {
      if (writes) await chain.write(sectors(0), Buffer.alloc(512, 1));
      throw failure;
    };
    const { leaf } = chain;
    const part = { path: leaf.path, begun: () => leaf.cid !== leaf.descriptor.cid };
    await expect(tellingWhatIsInPart(work, part, context, 'again')).rejects.toBe(failure);
    expect(warnings).toEqual(said);
    await chain.close();
  });

  it('is told by the command, before the error', async () => {
    const { folder, remove } = await temporaryFolder();
    try {
      const disk = join(folder, 'd.vmdk');
      await quietly(['create', disk, '4M', '-q']);
      async function* breaking() {
        yield Buffer.alloc(1 << 20, 1);
        yield Buffer.alloc(1 << 20, 1);
        await Promise.resolve();
        throw new Error('the pipe broke');
      }
      const said: string[] = [];
      const quiet = new Writable({ write: (_chunk, _encoding, tell) => tell() });
      const stderr = new Writable({
        write: (chunk: Buffer, _encoding, tell) => {
          said.push(chunk.toString());
          tell();
        },
      });
      const stdin = Readable.from(breaking(), { objectMode: false });
      expect(await main(['write', disk, '--offset', '0'], { stdin, stdout: quiet, stderr })).not.toBe(0);
      expect(said.join('')).toMatch(
        /^vmdkit: warning: .*d\.vmdk: some of it is written, and what was written stays: the same command again .*\n.*broke/,
      );
    } finally {
      await remove();
    }
  });
});

// openMachine on texts that others wrote, and on texts that were bent: it answers or throws a VmdkError, reads only, and
// its report fits the published schema.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { machineText } from '../../src/cli/machine-text.ts';
import { describeMachine, type MachineReport } from '../../src/machine/describe-machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { expectValid } from '../support/command.ts';
import { buildMachine, hashesIn } from '../support/machine-model.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

describeWithCorpus('machines of the corpus', (corpus) => {
  const names = (kind: string): string[] => readdirSync(join(corpus, kind));

  it.each(names('vmx'))('%s is described, whatever is missing', async (name) => {
    const store = createMemoryFileStore({ '/ds/vm/vm.vmx': readFileSync(join(corpus, 'vmx', name)) });
    const report = await described(store);
    expect(report.disks.every(({ problem }) => problem !== undefined)).toBe(true);
    expect(report.encrypted).toBe(name.includes('encrypted'));
    expect(report.snapshots).toEqual([]);
  });

  it.each(names('vmsd'))('%s is described beside a .vmx', async (name) => {
    const store = createMemoryFileStore({
      '/ds/vm/vm.vmx': Buffer.from('displayName = "vm"\n'),
      '/ds/vm/vm.vmsd': readFileSync(join(corpus, 'vmsd', name)),
    });
    const report = await described(store);
    const text = machineText(report, { paint: (_, words) => words, verbose: false }).join('\n');
    for (const { name: title, created } of report.snapshots) {
      expect(text).toContain(`${title}  ${created?.slice(0, 19).replace('T', ' ') ?? 'no time'}`);
    }
    expect(report['linked-clone'].is).toBe(name.includes('clone-child'));
  });
});

describe('bent texts of a machine', () => {
  it('are answered or refused, never obeyed, and nothing is written', async () => {
    const store = createMemoryFileStore();
    await store.makeFolder('/ds');
    const model = await buildMachine(store, '/ds/vm', { name: 'vm', nodes: ['scsi0:0'], sectors: 512 });
    const disks = await hashesIn(store, '/ds/vm');
    const texts = { vmx: await bytesOf(store, model.vmxPath), vmsd: await bytesOf(store, model.vmsdPath) };
    const word = fc.constantFrom(
      '"',
      '|',
      '\n',
      '..',
      '/etc/',
      '\0',
      '= ',
      'snapshot0.',
      'parent = "3"',
      '-1',
      '\r',
      '99999999999',
    );
    const bend = fc.record({ at: fc.nat(4000), cut: fc.nat(40), word });
    const property = fc.asyncProperty(
      fc.constantFrom('vmx', 'vmsd'),
      fc.array(bend, { minLength: 1, maxLength: 4 }),
      async (which, bends) => {
        let text = texts[which as 'vmx' | 'vmsd'];
        for (const { at, cut, word: put } of bends) {
          const place = at % text.length;
          text = Buffer.concat([text.subarray(0, place), Buffer.from(put), text.subarray(place + cut)]);
        }
        await store.replace(model.vmxPath, which === 'vmx' ? text : texts.vmx);
        await store.replace(model.vmsdPath, which === 'vmsd' ? text : texts.vmsd);
        try {
          const report = await described(store);
          for (const { filename } of report.disks) expect(filename ?? '/ds/vm/').toMatch(/^\/ds\//);
          machineText(report, { paint: (_, words) => words, verbose: true });
        } catch (error) {
          if (!isVmdkError(error)) throw error;
        }
      },
    );
    await fc.assert(property, { seed: 20261122, numRuns: 120 });
    const after = await hashesIn(store, '/ds/vm');
    for (const [name, hash] of disks)
      if (/\.(vmdk|nvram|vmxf)$/.test(name)) expect(after.get(name)).toBe(hash);
  });
});

async function described(store: FileStore): Promise<MachineReport> {
  const report = describeMachine(await openMachine('/ds/vm/vm.vmx', { fs: store }));
  expectValid('machine', JSON.parse(JSON.stringify(report)));
  return report;
}

async function bytesOf(store: FileStore, path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.readExactly(bytes, 0);
  await file.close();
  return bytes;
}

// Machines and requests that are not cloned: each refusal has its reason and its way out, and leaves everything as it was.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { machinePlanText, machineSummaryText } from '../../src/cli/machine-clone-text.ts';
import { planMachineClones } from '../../src/machine/plan-machine-clones.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import type { MachineClonePlan, MachineCloneRequest } from '../../src/machine/machine-clone-types.ts';
import { filesBelow, hashesBelow } from '../support/clone-bench.ts';
import { clonedMachines, contentsOf, editVmx, machineBench } from '../support/machine-clones.ts';
import type { MachineModelOptions } from '../support/machine-model.ts';

const GOLDEN = '/ds/golden/golden.vmx';

async function expectRefused(
  options: MachineModelOptions,
  request: Partial<MachineCloneRequest>,
  kind: string,
  why: RegExp,
): Promise<void> {
  const { fs } = await machineBench(options);
  const before = await hashesBelow(fs, '/ds');
  const work = clonedMachines({ machine: GOLDEN, into: '/ds', names: ['x'], ...request }, { fs });
  await expect(work).rejects.toMatchObject({ kind, message: expect.stringMatching(why) as string });
  expect(await hashesBelow(fs, '/ds')).toEqual(before);
  expect((await filesBelow(fs, '/ds')).filter((path) => path.endsWith('/'))).toEqual(['/ds/golden/']);
}

describe('a machine', () => {
  it.each<[string, Record<string, string>, string, RegExp]>([
    [
      'encrypted',
      { 'encryption.keySafe': 'vmware:key/list' },
      'unsupported',
      /encrypted[^]*Decrypt it in VMware/,
    ],
    ['with a TPM', { 'vtpm.present': 'TRUE' }, 'refused', /virtual TPM[^]*Remove the TPM/],
    [
      'suspended',
      { 'checkpoint.vmState': 'golden.vmss' },
      'refused',
      /suspended[^]*Resume it and shut it down/,
    ],
    [
      'with a shared disk',
      { 'scsi0:0.sharing': 'multi-writer' },
      'refused',
      /others write to[^]*Detach scsi0:0/,
    ],
    ['whose disk is missing', { 'sata0:1.fileName': 'gone.vmdk' }, 'missing', /gone\.vmdk[^]*--map/],
    ['whose disk is twice there', { 'sata0:1.fileName': 'golden-000003.vmdk' }, 'usage', /the same disk/],
  ])('that is %s is not cloned', async (_, vmx, kind, why) => {
    await expectRefused({ vmx }, {}, kind, why);
  });

  it('on a chain that cannot grow gives full copies only', async () => {
    const { fs, model } = await machineBench({ nodes: ['sata0:1'] });
    let leaf = model.diskAt('running', 'sata0:1');
    for (let links = 3; links < 32; links++) {
      const next = `/ds/golden/golden-0001${String(links).padStart(2, '0')}.vmdk`;
      await createDelta(next, leaf, { fs, durable: false });
      leaf = next;
    }
    await editVmx(fs, GOLDEN, { 'sata0:1.fileName': posix.basename(leaf) });
    const request = { machine: GOLDEN, into: '/ds', names: ['x'] };
    await expect(clonedMachines(request, { fs })).rejects.toMatchObject({ code: 'chain-too-deep' });
    const [copy] = await clonedMachines({ ...request, full: true }, { fs });
    const contents = await contentsOf(fs, copy!.vmx!);
    expect(contents.get('sata0:1')!.equals(model.contentsAt('running', 'sata0:1'))).toBe(true);
  });

  it('whose snapshot has memory gives clones without it, and says so', async () => {
    const { fs } = await machineBench({ nodes: ['sata0:1'] });
    await editVmx(fs, '/ds/golden/golden.vmsd', { 'snapshot1.type': '1' });
    const request = { machine: GOLDEN, into: '/ds', names: ['x'], snapshot: 'patched' };
    const { warnings } = await planMachineClones(request, { fs });
    expect(warnings.map(({ code }) => code)).toContain('snapshot-with-memory');
  });

  it('without room for the clones is not cloned', async () => {
    const { fs } = await machineBench({ nodes: ['sata0:1'] });
    const full = { ...fs, freeBytes: () => Promise.resolve(1000) };
    const work = clonedMachines({ machine: GOLDEN, into: '/ds/lab', names: ['x'] }, { fs: full });
    await expect(work).rejects.toMatchObject({ code: 'no-space' });
    expect(await fs.list('/ds')).toEqual(['golden']);
  });

  it('without a disk is not cloned', async () => {
    await expectRefused({ nodes: [] }, {}, 'refused', /nothing to clone[^]*copy of the \.vmx/);
  });

  it('whose nvram is no nvram is not cloned', async () => {
    const { fs } = await machineBench();
    await fs.replace('/ds/golden/golden.nvram', new Uint8Array(4 * 1024 * 1024 + 1));
    const work = clonedMachines({ machine: GOLDEN, into: '/ds', names: ['x'] }, { fs });
    await expect(work).rejects.toThrow(/golden\.nvram: this file is too large/);
    expect(await fs.exists('/ds/x')).toBe(false);
  });

  it('that runs gives clones of its snapshots alone, and is not written to', async () => {
    const { fs, model } = await machineBench({ vmx: { cleanShutdown: 'FALSE' } });
    await (await fs.create('/ds/golden/golden-1a2b3c4d.vswp')).close();
    const before = await model.hashes();
    const request = { machine: GOLDEN, into: '/ds', names: ['x'] };
    await expect(clonedMachines(request, { fs })).rejects.toThrow(/Or name a snapshot/);
    const warnings: string[] = [];
    const onPlan = (plan: { warnings: readonly { code: string }[] }): void =>
      void warnings.push(...plan.warnings.map(({ code }) => code));
    await clonedMachines({ ...request, snapshot: 'patched' }, { fs, onPlan });
    expect(warnings).toContain('clones-not-noted');
    expect(await model.hashes()).toEqual(before);
  });
});

describe('an independent disk, which no snapshot keeps from being written', () => {
  const independent = { 'sata0:1.mode': 'independent-persistent', 'sata0:1.fileName': 'golden_1.vmdk' };
  const running = { cleanShutdown: 'FALSE' };

  // Whose first snapshot lists it.
  it.each<[string, Record<string, string>, RegExp]>([
    ['that others write to', { 'sata0:1.sharing': 'multi-writer' }, /others write to \(sata0:1\)/],
    ['of a machine that runs', running, /may still be in use[^]*leave its independent disks out/],
  ])('%s is not cloned with a snapshot either', async (_, vmx, why) => {
    for (const rule of ['copy', 'link'] as const) {
      const request = { snapshot: 'installed', independent: rule };
      await expectRefused({ vmx: { ...independent, ...vmx } }, request, 'refused', why);
    }
  });

  it('that is a raw disk is refused as one, and says how to do without', async () => {
    const { fs } = await machineBench({ vmx: independent });
    const rdm = 'version=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="vmfsRawDeviceMap"\n';
    await fs.replace('/ds/golden/golden_1.vmdk', Buffer.from(`${rdm}RW 1024 VMFSRDM "golden_1-flat.vmdk"\n`));
    await editVmx(fs, '/ds/golden/golden.vmsd', { 'snapshot1.disk1.fileName': null });
    const request = { machine: GOLDEN, into: '/ds', names: ['x'], snapshot: 'patched' };
    await expect(clonedMachines(request, { fs })).rejects.toMatchObject({
      code: 'raw-disk',
      message: expect.stringMatching(/sata0:1[^]*leave it out \(--independent drop\)/) as string,
    });
  });

  it.each<Record<string, string>>([
    { 'sata0:1.sharing': 'multi-writer' },
    { 'sata0:1.fileName': 'gone.vmdk' },
    running,
  ])('is no reason to refuse when it is left out: %j', async (vmx) => {
    const { fs } = await machineBench({ vmx: { ...independent, ...vmx } });
    await editVmx(fs, '/ds/golden/golden.vmsd', { 'snapshot1.disk1.fileName': null });
    const point = vmx === running ? { snapshot: 'patched' } : {};
    const request = { machine: GOLDEN, into: '/ds', names: ['x'], ...point, independent: 'drop' } as const;
    const [made] = await clonedMachines(request, { fs });
    expect(made!.disks!.map(({ node }) => node)).toEqual(['scsi0:0', 'nvme0:0']);
  });

  it('is copied from a machine that runs when it only reads it', async () => {
    const vmx = { ...independent, ...running, 'sata0:1.mode': 'independent-nonpersistent' };
    const { fs, model } = await machineBench({ vmx });
    await editVmx(fs, '/ds/golden/golden.vmsd', { 'snapshot1.disk1.fileName': null });
    const request = { machine: GOLDEN, into: '/ds', names: ['x'], snapshot: 'patched' };
    const [made] = await clonedMachines(request, { fs });
    const contents = await contentsOf(fs, made!.vmx!);
    expect(contents.get('sata0:1')!.equals(model.contentsAt(1, 'sata0:1'))).toBe(true);
  });

  it('is no frozen disk because a snapshot lists it', async () => {
    const { fs } = await machineBench({ vmx: independent });
    const request = { machine: GOLDEN, into: '/ds', names: ['x'], snapshot: 'installed' };
    const { disks } = await planMachineClones(request, { fs });
    expect(disks.map(({ node, kind }) => `${node} ${kind}`)).toEqual([
      'scsi0:0 linked',
      'nvme0:0 linked',
      'sata0:1 copied',
    ]);
  });
});

describe('a request', () => {
  it.each<[Partial<MachineCloneRequest>, string, RegExp]>([
    [{ snapshot: 'none' }, 'missing', /no such snapshot: found uid:1 "installed", uid:2 "patched"/],
    [{ snapshot: 'patched', freeze: true }, 'usage', /frozen already/],
    [{ full: true, freeze: true }, 'usage', /nothing to freeze/],
    [{ full: true, independent: 'link' }, 'usage', /copy or drop/],
    [{ full: true, type: 'vmfsSparse' }, 'usage', /not made as vmfsSparse[^]*monolithicFlat/],
    [{ type: 'vmfs' }, 'unsupported', /vmfs/],
    [{ names: ['golden'] }, 'usage', /same name as the one it stands on/],
    [{ names: ['golden-000003'], into: '/ds/lab' }, 'usage', /same name as the one it stands on/],
    [{ names: undefined, count: 10_001 }, 'usage', /at most 10000/],
    [{ names: ['../x'] }, 'usage', /lead out of the folder/],
    [{ names: [{ name: 'x', mac: 'nonsense' }] }, 'usage', /"x": "nonsense" is no MAC address/],
    [{ into: '/ds/golden/golden.vmx' }, 'usage', /clones are made in a folder/],
  ])('of %j is refused', async (request, kind, why) => {
    await expectRefused({}, request, kind, why);
  });

  it('for a place that is taken is refused, or does without the one', async () => {
    const { fs, model } = await machineBench();
    await fs.makeFolder('/ds/b');
    const request = { machine: GOLDEN, into: '/ds', names: ['a', 'b', 'c'], freeze: true };
    const before = await model.hashes();
    await expect(clonedMachines(request, { fs })).rejects.toMatchObject({ code: 'target-exists' });
    expect(await model.hashes()).toEqual(before);
    const made = await clonedMachines({ ...request, keepGoing: true }, { fs });
    expect(made.map(({ status, error }) => [status, error?.code])).toEqual([
      ['created', undefined],
      ['failed', 'target-exists'],
      ['created', undefined],
    ]);
    expect(await fs.list('/ds/b')).toEqual([]);
  });

  it('whose places are all taken forks nothing', async () => {
    const { fs, model } = await machineBench();
    await fs.makeFolder('/ds/b');
    const before = await model.hashes();
    const request = { machine: GOLDEN, into: '/ds', names: ['b'], freeze: true, keepGoing: true };
    const plans: MachineClonePlan[] = [];
    const made = await clonedMachines(request, { fs, onPlan: (plan) => plans.push(plan) });
    expect(made.map(({ status }) => status)).toEqual(['failed']);
    expect(plans[0]!.totals).toMatchObject({ clones: 0, files: 0, 'bytes-needed': 0 });
    expect(machineSummaryText(plans[0]!, made)).not.toMatch(/goes on/);
    expect(machinePlanText(plans[0]!, false).join('\n')).not.toMatch(/goes on/);
    expect(await model.hashes()).toEqual(before);
  });
});

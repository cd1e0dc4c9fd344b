// The .vmx of a clone made from every real one there is: what names the source or its past goes, every other line
// stays byte for byte.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDictionary, printDictionary, type Dictionary } from '../../src/format/dictionary.ts';
import { readVmx } from '../../src/format/vmx.ts';
import { cloneVmx, vmxTemplate, type TemplateOptions } from '../../src/machine/clone-vmx.ts';
import { newIdentity } from '../../src/machine/new-identity.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

const KEEP: TemplateOptions = {
  media: 'keep',
  mediumPath: (name) => `../source/${name}`,
  dropped: [],
  returned: [],
};

function cloneOf(source: Dictionary, name = 'clone', options: Partial<TemplateOptions> = {}): Dictionary {
  const config = readVmx(source);
  const cards = config.ethernets.filter(({ present }) => present).map(({ index }) => index);
  const disks = config.devices.filter(({ kind, present }) => kind === 'disk' && present);
  const identity = newIdentity(cards, {}, { uuids: new Set(), macs: new Set() }, (count) =>
    new Uint8Array(count).fill(7),
  );
  return cloneVmx(vmxTemplate(source, config, { ...KEEP, ...options }), {
    displayName: name,
    stem: name,
    identity,
    disks: new Map(
      disks.map(({ node }, index) => [node, index === 0 ? `${name}.vmdk` : `${name}_${index}.vmdk`]),
    ),
    vmxf: false,
  });
}

const dictionary = (...lines: string[]): Dictionary =>
  parseDictionary(Buffer.from(`${lines.join('\n')}\n`), '/x/s.vmx');
const line = (raw: Uint8Array): string => Buffer.from(raw).toString('latin1').trimEnd();
const textOf = (made: Dictionary): string => printDictionary(made).toString();

describe('the .vmx of a clone', () => {
  it('keeps the lines of its source that are not about identity, place or files, as they are', () => {
    const source = dictionary(
      '#!/usr/bin/vmware',
      '.encoding = "UTF-8"',
      'displayName = "golden"   # the master',
      'MemSize="2048"',
      'scsi0.present = TRUE',
      'scsi0.sasWWID = "50 05 05 6a 23 9c cd 30"',
      'scsi0:0.present = "TRUE"',
      'scsi0:0.fileName = "golden-000002.vmdk"',
      'scsi0:0.mode = "persistent"',
      'vc.uuid = "52 aa"',
      'Migrate.hostLog = "golden.hlog"',
      'policy.vm.mvmtid = "x"',
      'odd line',
      'guestinfo.role = "web"',
    );
    expect(textOf(cloneOf(source)).split('\n')).toEqual([
      '#!/usr/bin/vmware',
      '.encoding = "UTF-8"',
      'displayName = "clone"   # the master',
      'MemSize="2048"',
      'scsi0.present = TRUE',
      'scsi0:0.present = "TRUE"',
      'scsi0:0.fileName = "clone.vmdk"',
      'scsi0:0.mode = "persistent"',
      'odd line',
      'guestinfo.role = "web"',
      'uuid.bios = "56 4d 07 07 07 07 07 07-07 07 07 07 07 07 07 07"',
      'uuid.location = "56 4d 07 07 07 07 07 07-07 07 07 07 07 07 07 07"',
      'uuid.action = "keep"',
      '',
    ]);
  });

  it('names no disk of its source under another spelling of its place', () => {
    const source = dictionary(
      'scsi00:01.present = "TRUE"',
      'SCSI00:01.fileName = "golden.vmdk"',
      'scsi0:01.redo = "x"',
    );
    expect(textOf(cloneOf(source))).toMatch(
      /^scsi0:1\.present = "TRUE"\nscsi0:1\.fileName = "clone\.vmdk"\ndisplayName/i,
    );
  });

  it('has a disk that came back, and none that was left out', () => {
    const source = dictionary(
      'scsi0.present = "TRUE"',
      'scsi0:1.present = "TRUE"',
      'scsi0:1.fileName = "new.vmdk"',
      'scsi0:1.mode = "independent-persistent"',
      'sata0.present = "FALSE"',
      'sata0:2.present = "FALSE"',
      'sata0:2.deviceType = "cdrom-image"',
      'sata0:2.fileName = "x.iso"',
    );
    const made = cloneVmx(
      vmxTemplate(source, readVmx(source), { ...KEEP, dropped: ['scsi0:1'], returned: ['sata0:2'] }),
      {
        displayName: 'c',
        stem: 'c',
        identity: { uuid: 'u', addresses: [] },
        disks: new Map([['sata0:2', 'c.vmdk']]),
        vmxf: false,
      },
    );
    const { devices } = readVmx(made);
    expect(devices).toMatchObject([{ node: 'sata0:2', present: true, kind: 'disk', fileName: 'c.vmdk' }]);
  });

  it('is in UTF-8 when a name is not ASCII, whatever its source was in', () => {
    const bytes = Buffer.concat([
      Buffer.from('.encoding = "Shift_JIS"\r\nannotation = "'),
      Buffer.from([0x93, 0xfa, 0x96, 0x7b]),
      Buffer.from('"\r\ndisplayName = "x"\r\n'),
    ]);
    const source = parseDictionary(bytes, '/x/s.vmx');
    const same = cloneOf(source, 'plain');
    expect(same.encoding).toBe('shift_jis');
    expect(printDictionary(same).includes(bytes.subarray(24, 44))).toBe(true);
    const other = cloneOf(source, 'Müller');
    expect(other.encoding).toBe('utf-8');
    expect([other.get('annotation'), other.get('displayName')]).toEqual(['日本', 'Müller']);
  });
});

describeWithCorpus('the .vmx of a clone of a real one', (corpus) => {
  const folder = join(corpus, 'vmx');
  it.each(readdirSync(folder))('%s names nothing of its source, and keeps every other line', (name) => {
    const source = parseDictionary(readFileSync(join(folder, name)), `/x/${name}`);
    const made = cloneOf(source);
    const config = readVmx(made);
    for (const { kind, present, fileName } of config.devices) {
      if (kind === 'disk' && present) expect(fileName).toMatch(/^clone(?:_\d+)?\.vmdk$/);
    }
    expect(config).toMatchObject({
      displayName: 'clone',
      uuidBios: expect.stringMatching(/^56 4d 07/) as string,
    });
    const files = [config.nvram, config.extendedConfigFile, config.workingDir].filter(
      (file) => file !== undefined,
    );
    for (const file of files) expect(file).toMatch(/^clone\./);
    const keys = made.entries.map(({ key }) => key);
    expect(
      keys.filter((key) => /^(?:vc\.uuid|migrate\.|vmotion\.|vm\.genid|sched\.swap\.)/.test(key)),
    ).toEqual([]);
    // What is neither dropped nor rewritten is there, in its order and byte for byte.
    const rewritten =
      /^(?:displayname|uuid\.|nvram|extendedconfigfile|checkpoint\.vmstate|ethernet\d+\.(?:address|generated|checkmac)|(?:serial|parallel)\d+\.filename|floppy\d\.filename|(?:scsi|sata|ide|nvme)\d+:\d+\.filename)/;
    const before = source.lines.filter(
      ({ key }) => key === undefined || (!rewritten.test(key) && keys.includes(key)),
    );
    const after = made.lines.filter(({ key }) => key === undefined || !rewritten.test(key));
    expect(after.map(({ raw }) => line(raw))).toEqual(before.map(({ raw }) => line(raw)));
  });
});

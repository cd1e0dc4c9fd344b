// What a .vmx says: devices of every controller, identity, and the states that make a machine special.
import { describe, expect, it } from 'vitest';
import { parseDictionary } from '../../src/format/dictionary.ts';
import { readVmx, type VmxReading } from '../../src/format/vmx.ts';
import { replaceVmxPathName } from '../../src/format/vmxf.ts';

describe('devices of a .vmx', () => {
  it('are found on every controller, in order, in any case', () => {
    const { devices, problems } = read([
      'SCSI0.present = "TRUE"',
      'scsi0.virtualDev = "pvscsi"',
      'scsi0:10.present = "TRUE"',
      'scsi0:10.filename = "k.vmdk"',
      'scsi0:2.PRESENT = "true"',
      'Scsi0:2.FileName = "c.vmdk"',
      'nvme0:0.present = "TRUE"',
      'nvme0:0.fileName = "n.vmdk"',
      'ide0:1.present = "TRUE"',
      'ide0:1.fileName = "i.vmdk"',
      'ide0:1.mode = "Independent-Nonpersistent"',
      'sata0:3.present = "TRUE"',
      'sata0:3.fileName = "s.vmdk"',
      'sata0:3.sharing = "multi-writer"',
    ]);
    expect(problems).toEqual([]);
    expect(
      devices.map(({ node, fileName, mode, independent }) => `${node} ${fileName} ${mode} ${independent}`),
    ).toEqual([
      'scsi0:2 c.vmdk persistent false',
      'scsi0:10 k.vmdk persistent false',
      'sata0:3 s.vmdk persistent false',
      'ide0:1 i.vmdk independent-nonpersistent true',
      'nvme0:0 n.vmdk persistent false',
    ]);
    expect(devices[0]).toMatchObject({ kind: 'disk', present: true, virtualDev: 'pvscsi' });
    expect(devices[2]!.sharing).toBe('multi-writer');
  });

  it.each([
    ['scsi-hardDisk', 'disk'],
    ['ata-hardDisk', 'disk'],
    ['disk', 'disk'],
    ['rawDisk', 'disk'],
    ['cdrom-image', 'cdrom'],
    ['cdrom-raw', 'cdrom'],
    ['atapi-cdrom', 'cdrom'],
    ['scsi-passthru', 'passthrough'],
  ])('of type %s are %s', (type, kind) => {
    const { devices } = read([
      'scsi0:0.present = "TRUE"',
      `scsi0:0.deviceType = "${type}"`,
      'scsi0:0.fileName = "x"',
    ]);
    expect(devices[0]!.kind).toBe(kind);
  });

  it('are absent when they, or their controller, say so', () => {
    const lines = ['scsi0:0.present = "TRUE"', 'scsi0:0.fileName = "a.vmdk"'];
    expect(read(lines).devices[0]!.present).toBe(true);
    expect(read([...lines, 'scsi0.present = "FALSE"']).devices[0]!.present).toBe(false);
    expect(read(lines.slice(1)).devices[0]!.present).toBe(false);
    expect(read(['scsi0:0.redo = ""', 'scsi0:1.ctkEnabled = "TRUE"']).devices).toEqual([]);
  });

  it.each([
    ['scsi9:0', false],
    ['scsi0:99', false],
    ['ide0:2', false],
    ['scsi0:7', true],
  ])('at %s are odd', (node, present) => {
    const { devices, problems } = read([`${node}.present = "TRUE"`, `${node}.fileName = "a.vmdk"`]);
    expect(problems).toMatchObject([{ code: 'vmx-odd-place', line: 1 }]);
    expect(devices[0]!.present).toBe(present);
  });

  it('without a file, and in a mode nobody knows, are told', () => {
    const { problems } = read(['scsi0:0.present = "TRUE"', 'scsi0:0.mode = "wild"']);
    expect(problems.map(({ code }) => code)).toEqual(['vmx-disk-without-file', 'vmx-odd-mode']);
  });
});

describe('the rest of a .vmx', () => {
  it('is read, with floppies, CD drives and network cards', () => {
    const reading = read([
      'displayName = "web"',
      'guestOS = "debian11-64"',
      'virtualHW.version = "19"',
      'workingDir = "/scratch"',
      'checkpoint.vmState = "web-1234.vmss"',
      'cleanShutdown = "FALSE"',
      'floppy0.fileName = "/dev/fd0"',
      'ide1:0.present = "TRUE"',
      'ide1:0.deviceType = "cdrom-image"',
      'ide1:0.fileName = "/isos/a.iso"',
      'ethernet1.present = "TRUE"',
      'ethernet1.addressType = "static"',
      'ethernet1.address = "00:50:56:01:02:03"',
      'ethernet0.present = "TRUE"',
    ]);
    expect(reading).toMatchObject({
      displayName: 'web',
      hardwareVersion: 19,
      workingDir: '/scratch',
      suspendFile: 'web-1234.vmss',
      cleanShutdown: false,
      encrypted: false,
      vtpm: false,
      removable: [
        { name: 'floppy0', kind: 'floppy', fileName: '/dev/fd0' },
        { name: 'ide1:0', kind: 'cdrom', fileName: '/isos/a.iso' },
      ],
      ethernets: [
        { index: 0, present: true },
        { index: 1, present: true, addressType: 'static', address: '00:50:56:01:02:03' },
      ],
    });
  });

  it.each(['encryption.keySafe', 'encryption.data', 'encryptedVM.guid'])('%s makes it encrypted', (key) => {
    expect(read([`${key} = "x"`]).encrypted).toBe(true);
  });

  it('knows a virtual TPM of vSphere and of Workstation', () => {
    expect(read(['vtpm.present = "TRUE"']).vtpm).toBe(true);
    expect(read(['managedVM.autoAddVTPM = "software"']).vtpm).toBe(true);
  });
});

describe('a .vmxf', () => {
  it('gets another vmxPathName and keeps every other byte', () => {
    const text =
      '<?xml version="1.0"?>\r\n<Foundry><VM><vmxPathName type="string">old.vmx</vmxPathName>\u00e9</VM></Foundry>';
    const bytes = Buffer.from(text);
    expect(replaceVmxPathName(bytes, 'a & <b> $1.vmx').toString()).toBe(
      text.replace('old.vmx', () => 'a &#38; &#60;b&#62; $1.vmx'),
    );
    expect(replaceVmxPathName(Buffer.from('<x/>'), 'n.vmx').toString()).toBe('<x/>');
  });

  it('spells out what its encoding lacks', () => {
    const open = '<?xml version="1.0" encoding="windows-1252"?><vmxPathName>x</vmxPathName>';
    expect(replaceVmxPathName(Buffer.from(open), '中é.vmx').toString('latin1')).toContain(
      '>&#20013;&#233;.vmx<',
    );
    expect(replaceVmxPathName(Buffer.from(open), 'é.vmx').toString('latin1')).toContain('>\u00e9.vmx<');
  });
});

function read(lines: readonly string[]): VmxReading {
  return readVmx(parseDictionary(Buffer.from(lines.join('\n')), 'x.vmx'));
}

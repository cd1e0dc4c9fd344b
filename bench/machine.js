// A machine with three empty disks to clone: a split one on SCSI, a flat one on SATA, a thin one on NVMe.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './images.js';

const SIZE = '8G';
const DISKS = [
  ['scsi0:0', 'golden.vmdk', 'twoGbMaxExtentSparse'],
  ['sata0:0', 'golden_1.vmdk', 'monolithicFlat'],
  ['nvme0:0', 'golden_2.vmdk', 'monolithicSparse'],
];

/** Makes it in `folder`/golden; `folder` is new. */
export function makeMachine(folder) {
  const golden = join(folder, 'golden');
  mkdirSync(golden, { recursive: true });
  const lines = [
    '.encoding = "UTF-8"',
    'config.version = "8"',
    'virtualHW.version = "19"',
    'displayName = "golden"',
  ];
  for (const [node, name, subformat] of DISKS) {
    run('qemu-img', ['create', '-q', '-f', 'vmdk', '-o', `subformat=${subformat}`, join(golden, name), SIZE]);
    const controller = node.split(':')[0];
    lines.push(`${controller}.present = "TRUE"`, `${node}.present = "TRUE"`, `${node}.fileName = "${name}"`);
  }
  lines.push('ethernet0.present = "TRUE"', 'ethernet0.addressType = "generated"', 'nvram = "golden.nvram"');
  writeFileSync(join(golden, 'golden.vmx'), `${lines.join('\n')}\n`);
  writeFileSync(join(golden, 'golden.nvram'), Buffer.alloc(8684));
  return { folder: golden, vmx: join(golden, 'golden.vmx') };
}

// How a machine names a file that takes another's place: as it named that one.
import { expect, it } from 'vitest';
import { spelledLike } from '../../src/machine/machine-change.ts';
import type { Machine } from '../../src/machine/machine.ts';

const machine = { folder: '/mnt/ds1/web' } as Machine;
const next = (fileName: string, path: string, to: string): string =>
  spelledLike(machine, { fileName, path }, to);

it.each([
  ['web.vmdk', 'web-000001.vmdk'],
  ['./web.vmdk', './web-000001.vmdk'],
  ['/vmfs/volumes/ds1/web/web.vmdk', '/vmfs/volumes/ds1/web/web-000001.vmdk'],
  ['[ds1] web/web.vmdk', '[ds1] web/web-000001.vmdk'],
  ['[ds1] web.vmdk', '[ds1] web-000001.vmdk'],
  ['C:\\VMs\\web\\web.vmdk', 'C:\\VMs\\web\\web-000001.vmdk'],
])('spells a file beside %s in the same way', (old, expected) => {
  expect(next(old, '/mnt/ds1/web/web.vmdk', '/mnt/ds1/web/web-000001.vmdk')).toBe(expected);
});

it('names a file in another folder from the machine, or whole', () => {
  expect(next('/mnt/ds2/web.vmdk', '/mnt/ds2/web.vmdk', '/mnt/ds1/web/redo/web.vmdk')).toBe('redo/web.vmdk');
  expect(next('web.vmdk', '/mnt/ds1/web/web.vmdk', '/mnt/ds2/web.vmdk')).toBe('/mnt/ds2/web.vmdk');
});

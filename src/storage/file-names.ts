// Names in a descriptor that are no names of files on this machine: URLs, QEMU's protocols, Windows drives, shares
// and devices. They are recognised to be explained, and never opened.
import { VmdkError } from '../core/errors.ts';
import { isUrl } from './place-names.ts';
import { legible } from './store-errors.ts';

/** A word and `://` is a URL; these words also name a protocol of QEMU's or VMware's with a bare colon. */
const URL = /^([a-z][a-z0-9+.-]+):\/\//i;
const PROTOCOL =
  /^(blkdebug|blkverify|fat|file|ftps?|gluster|host_cdrom|host_device|https?|iscsi|json|nbd|nfs|null-aio|null-co|nvme|raw|rbd|sftp|ssh|vfat|vsan|vvfat):/i;
const WINDOWS_DEVICE = /^\\\\[.?]\\/;
const WINDOWS_SHARE = /^\\\\[^\\]/;
const WINDOWS_DRIVE = /^[a-z]:([\\/]|$)/i;

/** Throws VmdkError `not-a-file-name` unless `name` may be the name of a file here. `by` is the disk that holds it. */
export function assertFileName(name: string, what: string, by: string): void {
  const found = foreignName(name);
  if (found === undefined) return;
  throw new VmdkError(
    'unsupported',
    'not-a-file-name',
    `the ${what} "${legible(name)}" is not the name of a file`,
    {
      path: by,
      found: found.what,
      expected: 'a file',
      hint: found.hint,
    },
  );
}

/** What `name` is where it is no file of this machine, and what to do about it. */
export function foreignName(name: string): { what: string; hint: string } | undefined {
  const fetchHint = isUrl(name)
    ? 'Nothing is fetched on behalf of a disk unless its place is allowed: --allow-origin URL.'
    : 'Nothing is ever fetched on behalf of a disk: copy the file here and name it by its path.';
  const scheme = (URL.exec(name) ?? PROTOCOL.exec(name))?.[1]?.toLowerCase();
  if (scheme === 'vsan') {
    return {
      what: 'an object of a vSAN',
      hint: 'Such disks can be read only where the vSAN is: clone or export it there.',
    };
  }
  if (scheme !== undefined) return { what: `the protocol ${scheme}`, hint: fetchHint };
  if (WINDOWS_DEVICE.test(name)) {
    return { what: 'a Windows device', hint: 'The disk is a window on a physical disk of another machine.' };
  }
  const mapHint = 'If the files are here, say where: --map FROM=TO';
  if (WINDOWS_SHARE.test(name)) return { what: 'a Windows network share', hint: mapHint };
  return WINDOWS_DRIVE.test(name) ? { what: 'a path on a Windows drive', hint: mapHint } : undefined;
}

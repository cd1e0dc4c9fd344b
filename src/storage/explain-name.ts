// What a person gave in place of a file's path and may have meant: QEMU's protocols, datastores of VMware's, Windows
// drives. Only asked once there is no such file; names in a descriptor are judged by file-names.ts.
import { usageError, VmdkError } from '../core/errors.ts';
import { foreignName } from './file-names.ts';
import type { FileStore, ResolvedPath } from './file-store.ts';
import { isUrl } from './place-names.ts';
import { legible } from './store-errors.ts';

/** `word:` and `word://` where the word names a protocol of QEMU's or libnbd's; of others only `word://` is known. */
const PROTOCOL =
  /^([a-z][a-z0-9+.-]*)(?=:\/\/)|^(blkdebug|blkverify|fat|file|ftps?|gluster|host_cdrom|host_device|https?|iscsi|json|nbd[a-z+]*|nfs|null-aio|null-co|nvme|rbd|s3|sftp|sheepdog|smb|ssh|tftp|vvfat|vxhs)(?=:)/i;
const DATASTORE = /^\[[^\]/]+\]/;

/** What to do instead, by the protocol; `name` is legible. */
const WAYS: readonly (readonly [RegExp, (name: string) => string])[] = [
  [/^nbd/, nbdWay],
  [/^(ssh|sftp)$/, () => 'Copy the file here (scp), or mount its folder (sshfs).'],
  [/^rbd$/, () => `Copy it to a file: rbd export IMAGE FILE.${RAW}`],
  [/^(https?|s3)$/, (name) => `If a URL is meant: ${name.replace(/^([a-z0-9]+):\/*/i, '$1://')}`],
  [/^(ftps?|tftp)$/, () => 'Copy the file here (curl -O).'],
  [/^(nfs|smb|gluster|sheepdog|vxhs)$/, () => 'Mount what holds it, and name the file below that.'],
  [/^file$/, (name) => `Name it by its path: ${name.replace(/^file:(\/\/(localhost)?(?=\/))?/i, '')}`],
  [/^json$/, (name) => `That is for QEMU. Name the file of the disk itself${fileIn(name)}.`],
  [/^(iscsi|nvme|host_.*)$/, () => `Devices are never opened: copy it to a file.${RAW}`],
  [/^vsan$/, () => 'Such disks can be read only where the vSAN is: clone or export it there.'],
];
const MOUNTED = 'Name the file by its path here, below the folder where that is mounted.';
const OTHER_WAY = 'Copy what is there to a file, and name that.';
const RAW = ' Raw content becomes a disk by vmdkit convert FILE DISK --from raw.';

/** What `store.resolve` says of a path that a person gave; a missing one is explained. @throws VmdkError as `assertName`. */
export async function resolveNamed(store: FileStore, path: string): Promise<ResolvedPath> {
  assertNotEmpty(path, 'the name of the file');
  try {
    return await store.resolve(path);
  } catch (error) {
    throw (error instanceof VmdkError && error.code === 'file-missing' && explainName(path)) || error;
  }
}

/**
 * For a word of a command line that should name a file, whether it is there or is to be made.
 * @throws VmdkError `usage` for an empty one; `not-a-file-name` for one that means something else, unless there is such a
 * file.
 */
export async function assertName(store: FileStore, name: string, what: string): Promise<void> {
  assertNotEmpty(name, what);
  const explained = explainName(name);
  if (explained !== undefined && !(await store.exists(name))) throw explained;
}

function assertNotEmpty(name: string, what: string): void {
  if (name !== '') return;
  throw usageError(`${what} is empty`, 'It must name a file or a folder. In a script: is a variable unset?');
}

/** Undefined when it looks like a path; URLs are for the store to judge. */
function explainName(name: string): VmdkError | undefined {
  if (isUrl(name)) return undefined;
  const match = PROTOCOL.exec(name);
  const word = (match?.[1] ?? match?.[2])?.toLowerCase();
  const foreign = process.platform === 'win32' ? undefined : foreignName(name);
  const datastore = DATASTORE.test(name) ? "a path on a datastore of VMware's" : undefined;
  const found = word === undefined ? (foreign?.what ?? datastore) : `the protocol ${word}`;
  if (found === undefined) return undefined;
  const shown = legible(name);
  const way =
    word === undefined ? MOUNTED : (WAYS.find(([words]) => words.test(word))?.[1](shown) ?? OTHER_WAY);
  return new VmdkError('unsupported', 'not-a-file-name', 'this is not the path of a file', {
    path: shown,
    found,
    expected: 'a file, or with --allow-origin a URL: http://, https:// or s3://',
    hint: `${way}\n  A file that is really called so: ./${shown}`,
  });
}

/** The tools take URIs alone, not QEMU's older `nbd:HOST:PORT`. */
function nbdWay(name: string): string {
  const uri = name.includes('://') ? name : 'nbd://HOST:PORT/EXPORT';
  return `Copy what is served there to a file (nbdcopy '${uri}' FILE), or mount it as one (nbdfuse -r DIR/FILE '${uri}').${RAW}`;
}

/** The file in a description of QEMU's. */
function fileIn(json: string): string {
  const file = /"(?:file\.)*filename"\s*:\s*"([^"\\]+)"/.exec(json)?.[1];
  return file === undefined ? '' : `, here ${file}`;
}

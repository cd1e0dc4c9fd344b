// Files of a file system as people and programs read them: a line of ls, an object.
import type { FileNode, FileStretchOnDisk, FileSystem, NodeKind } from '../examine/file-system.ts';
import type { FoundVolume } from '../examine/find-file-systems.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { legible } from './legible.ts';

const LETTERS: Readonly<Record<NodeKind, string>> = {
  file: '-',
  folder: 'd',
  link: 'l',
  device: 'c',
  fifo: 'p',
  socket: 's',
  unknown: '?',
};

/** `drwxr-xr-x`; the letter alone where the file system has no permissions. */
export function modeText({ kind, mode }: FileNode): string {
  const letter = kind === 'device' && mode !== undefined && mode >>> 12 === 6 ? 'b' : LETTERS[kind];
  if (mode === undefined) return letter;
  const bits = 'rwxrwxrwx'.split('').map((name, index) => ((mode & (0o400 >>> index)) === 0 ? '-' : name));
  const special = (at: number, mask: number, set: string): void => {
    if ((mode & mask) !== 0) bits[at] = bits[at] === 'x' ? set : set.toUpperCase();
  };
  special(2, 0o4000, 's');
  special(5, 0o2000, 's');
  special(8, 0o1000, 't');
  return letter + bits.join('');
}

/** `2009-05-22T12:00:00.000Z`, without the Z where the zone is not told. */
export function fileTime(time: number | undefined, { utc }: Pick<FileSystem, 'utc'>): string | undefined {
  if (time === undefined || Number.isNaN(time)) return undefined;
  const text = new Date(time).toISOString();
  return utc ? text : text.replace(/Z$/, '');
}

/** The same for a line: to the second. */
export function shortTime(time: number | undefined, fileSystem: Pick<FileSystem, 'utc'>): string {
  return fileTime(time, fileSystem)?.replace('T', ' ').replace(/\.\d+/, '') ?? '';
}

/** A name on one line, whatever it holds. */
export function nameText(name: string): string {
  return legible(name).replace(/[\n\t]/g, (found) => (found === '\n' ? '\\n' : '\\t'));
}

export function volumeJson({ number, start, count, description, fileSystem, problem }: FoundVolume): object {
  return {
    partition: number,
    description,
    start: start * SECTOR_BYTES,
    length: count * SECTOR_BYTES,
    ...(fileSystem === undefined
      ? { problem: { code: problem!.code, message: problem!.message.split('\n')[0] } }
      : {
          'file-system': fileSystem.kind,
          label: fileSystem.label,
          id: fileSystem.id,
          'block-size': fileSystem.blockBytes,
          'times-in-utc': fileSystem.utc,
        }),
  };
}

export function fileJson(fileSystem: FileSystem, path: string, node: FileNode): Record<string, unknown> {
  const times = {
    modified: node.modified,
    accessed: node.accessed,
    changed: node.changed,
    created: node.created,
  };
  const told = Object.entries(times).map(([name, time]) => [name, fileTime(time, fileSystem)] as const);
  return {
    path,
    name: node.name,
    type: node.kind,
    inode: node.inode,
    size: node.size,
    ...Object.fromEntries(told.filter(([, time]) => time !== undefined)),
    ...(node.mode === undefined
      ? {}
      : { mode: modeText(node), uid: node.uid, gid: node.gid, links: node.links }),
  };
}

export function stretchJson({ offset, start, count, unwritten }: FileStretchOnDisk): object {
  const place = { offset, start: start * SECTOR_BYTES, length: count * SECTOR_BYTES };
  return unwritten === true ? { ...place, unwritten } : place;
}

// The options of every command that opens disks, as the engine takes them. Rule: folders that the user names as the
// place of parents may be led to; nothing else is allowed by the way.
import { dirname, resolve } from 'node:path';
import type { ChainOptions, PathMapping } from '../chain/chain-options.ts';
import { isVmdkError, usageError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { isUrl } from '../storage/place-names.ts';
import type { Arguments } from './parsed-arguments.ts';
import type { CommandContext } from './context.ts';

/** What findings do unless the command shows them itself: a warning each. */
export async function chainOptionsOf(args: Arguments, context: CommandContext): Promise<ChainOptions> {
  const given = args.text('root');
  const root = given === undefined ? undefined : placeOf(given);
  const maps = args.texts('map').map(parseMapping);
  const places = [...maps.map(({ to }) => to.replace(/\/\*$/, '')), ...(root === undefined ? [] : [root])];
  // Where a URL may lead is for --allow-origin to say, which `context.store` obeys.
  const folders = await Promise.all(
    places.filter((place) => !isUrl(place)).map((path) => folderOf(context.store, path)),
  );
  return {
    fs: context.store,
    pathMap: [...maps, ...(root === undefined ? [] : datastoreMaps(root))],
    allow: [...args.texts('allow'), ...folders],
    confine: args.text('confine'),
    acceptMismatch: args.flag('accept-mismatch'),
    noAccess: args.text('noaccess') === 'zeros' ? 'zeros' : 'refuse',
    journal: args.text('journal') === 'ignore' ? 'ignore' : 'refuse',
    onFinding: ({ path, message }) => context.warn(`${path}: ${message}`),
  };
}

/** Datastores lie below `root` by name, or `root` is the one datastore there is. */
function datastoreMaps(root: string): PathMapping[] {
  return [
    { from: '/vmfs/volumes', to: root },
    { from: '/vmfs/volumes/*', to: root },
    { from: '[*]', to: `${root}/*` },
    { from: '[*]', to: root },
  ];
}

function parseMapping(text: string): PathMapping {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return { from: text.slice(0, at), to: placeOf(text.slice(at + 1)) };
  throw usageError(`--map: "${text}" is no FROM=TO`, 'For example: --map /vmfs/volumes/ds1=/mnt/ds1');
}

function placeOf(text: string): string {
  return isUrl(text) ? text.replace(/\/+$/, '') : resolve(text);
}

/** The folder a mapping leads into: itself, or the one that holds the file it names. */
async function folderOf(store: FileStore, path: string): Promise<string> {
  try {
    const { kind } = await store.resolve(path);
    return kind === 'folder' ? path : dirname(path);
  } catch (error) {
    if (isVmdkError(error)) throw usageError(`--map, --root: there is no such folder: ${path}`);
    throw error;
  }
}

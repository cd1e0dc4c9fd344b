// Changes a tree of disks in a process of its own and kills it, as kill -9 does, when the file store is asked for the Nth
// time. Arguments: the folder of the tree (base ← mid ← { leaf ← top, side }, other), a verb, N (0: never). Prints how often.
import { pathToFileURL } from 'node:url';
import {
  commitDisk,
  compactDisk,
  consolidateDisk,
  createNodeFileStore,
  promoteDisk,
  rebaseDisk,
  renameDisk,
  resizeTree,
  shadowDisk,
} from '../../dist/index.js';

export const verbs = {
  commit: (at, options) => commitDisk(at('leaf'), options),
  'commit in place': (at, options) => commitDisk(at('top'), { ...options, inPlace: true }),
  rebase: (at, options) => rebaseDisk(at('leaf'), { ...options, backing: at('other') }),
  consolidate: (at, options) => consolidateDisk(at('top'), { ...options, above: at('mid') }),
  promote: (at, options) => promoteDisk(at('leaf'), options),
  shadow: (at, options) => shadowDisk(at('leaf'), { ...options, to: at('new'), move: [at('top')] }),
  resize: (at, options) => resizeTree(at('top'), 256 * 1024, options),
  compact: (at, options) => compactDisk(at('leaf'), options),
  rename: (at, options) => renameDisk(at('mid'), at('new'), options),
};

/** The store, which tells how often and for what it was asked, and calls `atMoment` before it answers for the Nth time. */
export function countedStore(moment, atMoment) {
  const count = { calls: 0, asked: [] };
  const counted = (object) => {
    const copy = { ...object };
    for (const [key, value] of Object.entries(object)) {
      if (typeof value !== 'function') continue;
      copy[key] = async (...args) => {
        if (++count.calls === moment) atMoment();
        count.asked.push(typeof args[0] === 'string' ? `${key} ${args[0]}` : key);
        const result = await value.apply(object, args);
        return key === 'create' || key === 'open' ? counted(result) : result;
      };
    }
    return copy;
  };
  return { fs: counted(createNodeFileStore()), count };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [folder, verb, moment] = process.argv.slice(2);
  const { fs, count } = countedStore(Number(moment), () => process.kill(process.pid, 'SIGKILL'));
  await verbs[verb]((name) => `${folder}/${name}.vmdk`, { fs });
  process.stdout.write(String(count.calls));
}

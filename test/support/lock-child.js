// Compacts a disk in a process of its own, which takes its locks for that, and kills itself, as kill -9 does, before the
// Nth thing that it asks of the file store. Arguments: the disk, N (-1: never). Prints what was asked, in order.
import { pathToFileURL } from 'node:url';
import { compactDisk } from '../../dist/index.js';
import { countedStore } from './tree-child.js';

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [disk, moment] = process.argv.slice(2);
  const { fs, count } = countedStore(Number(moment) + 1, () => process.kill(process.pid, 'SIGKILL'));
  await compactDisk(disk, { fs });
  process.stdout.write(JSON.stringify(count.asked));
}

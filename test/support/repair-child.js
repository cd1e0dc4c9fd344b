// Repairs, takes back or recovers a disk in a process of its own and kills it, as kill -9 does, when the file store is
// asked for the Nth time. Arguments: the folder of disk.vmdk and its plan.json, a verb, N (0: never). Prints how often.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { applyRepair, parseRepairPlan, recoverDisk, undoRepair } from '../../dist/index.js';
import { countedStore } from './tree-child.js';

export const verbs = {
  repair: async (folder, options) => {
    const path = `${folder}/plan.json`;
    return applyRepair(`${folder}/disk.vmdk`, parseRepairPlan(await readFile(path), path), options);
  },
  undo: (folder, options) => undoRepair(`${folder}/disk.vmdk`, `${folder}/disk.vmdk.undo`, options),
  recover: (folder, options) => recoverDisk([`${folder}/disk.vmdk`], `${folder}/new.vmdk`, options),
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [folder, verb, moment] = process.argv.slice(2);
  const { fs, count } = countedStore(Number(moment), () => process.kill(process.pid, 'SIGKILL'));
  await verbs[verb](folder, { fs });
  process.stdout.write(String(count.calls));
}

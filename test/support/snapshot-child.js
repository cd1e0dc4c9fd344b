// Changes the snapshots of a machine in a process of its own and kills it, as kill -9 does, when the file store is
// asked for the Nth time. Arguments: .vmx, `create` or `delete`, a snapshot's name, N (0: never). Prints how often.
import { createNodeFileStore, createSnapshot, deleteSnapshot } from '../../dist/index.js';

const [vmx, action, name, moment] = process.argv.slice(2);
let calls = 0;

function counted(object) {
  const copy = { ...object };
  for (const [key, value] of Object.entries(object)) {
    if (typeof value !== 'function') continue;
    copy[key] = async (...args) => {
      if (++calls === Number(moment)) process.kill(process.pid, 'SIGKILL');
      const result = await value.apply(object, args);
      return key === 'create' ? counted(result) : result;
    };
  }
  return copy;
}

const fs = counted(createNodeFileStore());
if (action === 'create') await createSnapshot(vmx, { name }, { fs });
else await deleteSnapshot(vmx, name, { fs });
process.stdout.write(String(calls));

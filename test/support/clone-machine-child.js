// Freezes a machine and clones it in a process of its own, and kills it, as kill -9 does, when the file store is asked
// for the Nth time. Arguments: .vmx, folder for the clones, N (0: never). Prints how often the store was asked.
import { cloneMachine, createNodeFileStore } from '../../dist/index.js';

const [machine, into, moment] = process.argv.slice(2);
let calls = 0;

function counted(object) {
  const copy = { ...object };
  for (const [name, value] of Object.entries(object)) {
    if (typeof value !== 'function') continue;
    copy[name] = async (...args) => {
      if (++calls === Number(moment)) process.kill(process.pid, 'SIGKILL');
      const result = await value.apply(object, args);
      return name === 'create' ? counted(result) : result;
    };
  }
  return copy;
}

const fs = counted(createNodeFileStore());
for await (const { status } of cloneMachine({ machine, into, count: 4, freeze: true }, { fs })) {
  if (status !== 'created') throw new Error(status);
}
process.stdout.write(String(calls));

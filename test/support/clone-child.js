// Makes clones in a process of its own and kills it, as kill -9 does, when the file store is asked for the Nth time.
// Arguments: base, folder for the clones, layout, N (0: never). Prints how often the store was asked.
import { cloneDisks, createNodeFileStore } from '../../dist/index.js';

const [base, into, layout, moment] = process.argv.slice(2);
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
for await (const { status } of cloneDisks({ bases: [base], into, count: 12, layout }, { fs })) {
  if (status !== 'created') throw new Error(status);
}
process.stdout.write(String(calls));

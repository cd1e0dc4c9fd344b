// Makes changes in a process of its own that ends as by kill -9. Each run has a file store that stops for good when it is
// asked for the Nth time; when all have stopped the process kills itself, so that a hundred kills cost one process.
// Argument: the runs as JSON, `{ verb, args, moment }`. With moments of 0 nothing is killed: it carries the runs out, one
// after the other, and prints what each store was asked for, in order.
import * as vmdkit from '../../dist/index.js';
import { verbsOf } from './killed-verbs.js';

const verbs = verbsOf(vmdkit);
const runs = JSON.parse(process.argv[2]);

if (runs.every(({ moment }) => moment === 0)) {
  const asked = [];
  for (const { verb, args } of runs) {
    const store = countedStore(Infinity, () => {});
    await verbs[verb](args, { fs: store.fs });
    asked.push(store.asked);
  }
  process.stdout.write(JSON.stringify(asked));
} else {
  let left = runs.length;
  const stopped = () => {
    left--;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
  const ended = runs.map(async ({ verb, args, moment }) => {
    await verbs[verb](args, { fs: countedStore(moment, stopped).fs });
    throw new Error(`${verb} ended before its store was asked ${moment} times`);
  });
  await Promise.all(ended);
}

/** The store of files, which notes its calls; from the Nth on it never answers. */
function countedStore(moment, atMoment) {
  const asked = [];
  const counted = (object) => {
    const copy = { ...object };
    for (const [key, value] of Object.entries(object)) {
      if (typeof value !== 'function') continue;
      copy[key] = async (...args) => {
        asked.push(typeof args[0] === 'string' ? `${key} ${args[0]}` : key);
        if (asked.length === moment) atMoment();
        if (asked.length >= moment) await new Promise(() => {});
        const result = await value.apply(object, args);
        return key === 'create' || key === 'open' ? counted(result) : result;
      };
    }
    return copy;
  };
  return { fs: counted(vmdkit.createNodeFileStore()), asked };
}

// Applies a change set in a process of its own and kills it, as kill -9 does, when the file store is asked for the Nth
// time. Arguments: folder for new folders, folder of a machine, N (0: never). Prints how often the store was asked.
import { applyChangeSet, createNodeFileStore } from '../../dist/index.js';

const [into, vm, moment] = process.argv.slice(2);
let calls = 0;

function counted(object) {
  const copy = { ...object };
  for (const [name, value] of Object.entries(object)) {
    if (typeof value !== 'function') continue;
    copy[name] = async (...args) => {
      if (++calls === Number(moment)) process.kill(process.pid, 'SIGKILL');
      const result = await value.apply(object, args);
      return name === 'create' || name === 'open' ? counted(result) : result;
    };
  }
  return copy;
}

const text = (value) => Buffer.from(value);
const folders = ['c1', 'c2', 'c3'].map((name) => ({
  kind: 'folder',
  path: `${into}/${name}`,
  files: [
    { name: 'a', content: text(name) },
    { name: 'b', content: { copyOf: `${vm}/base` } },
  ],
}));
await applyChangeSet(counted(createNodeFileStore()), {
  root: into,
  otherRoots: [vm],
  label: 'test',
  request: 'r',
  changes: [
    ...folders,
    { kind: 'create', path: `${vm}/new`, file: text('new') },
    { kind: 'replace', path: `${vm}/a.vmx`, data: text('after') },
    { kind: 'patch', path: `${vm}/base`, at: 1, data: text('ASE') },
    { kind: 'rename', from: `${vm}/leaf`, to: `${vm}/leaf-1` },
    { kind: 'remove', path: `${vm}/gone` },
  ],
});
process.stdout.write(String(calls));

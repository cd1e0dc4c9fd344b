// What the tests kill: one function for each change of files that is to survive it. Plain JavaScript, so that the process
// that is killed (kill-child.js) can run them with what is built, and the tests, to run them again, with what is in src.
import { readFile } from 'node:fs/promises';

/** `vmdkit`: the library. Each verb gets its arguments and the options of what it calls, `fs` among them. */
export const verbsOf = (vmdkit) => ({
  clone: ([base, into, layout], options) =>
    allCreated(vmdkit.cloneDisks({ bases: [base], into, count: 6, layout }, options)),
  'clone a machine': ([machine, into], options) =>
    allCreated(vmdkit.cloneMachine({ machine, into, count: 4, freeze: true }, options)),

  'change many files': ([into, vm], { fs }) => vmdkit.applyChangeSet(fs, manyChanges(into, vm)),

  'create a snapshot': ([vmx, name], options) => vmdkit.createSnapshot(vmx, { name }, options),
  'delete a snapshot': ([vmx, name], options) => vmdkit.deleteSnapshot(vmx, name, options),

  'take and give back locks': ([disk], options) => vmdkit.compactDisk(disk, options),

  // Of `disk.vmdk` in a folder, with its plan.json.
  repair: async ([folder], options) => {
    const path = `${folder}/plan.json`;
    const plan = vmdkit.parseRepairPlan(await readFile(path), path);
    return vmdkit.applyRepair(`${folder}/disk.vmdk`, plan, options);
  },
  undo: ([folder], options) => vmdkit.undoRepair(`${folder}/disk.vmdk`, `${folder}/disk.vmdk.undo`, options),
  recover: ([folder], options) => vmdkit.recoverDisk([`${folder}/disk.vmdk`], `${folder}/new.vmdk`, options),

  // Of a tree in a folder: base ← mid ← { leaf ← top, side }, other.
  commit: ([tree], options) => vmdkit.commitDisk(`${tree}/leaf.vmdk`, options),
  'commit in place': ([tree], options) =>
    vmdkit.commitDisk(`${tree}/top.vmdk`, { ...options, inPlace: true }),
  rebase: ([tree], options) =>
    vmdkit.rebaseDisk(`${tree}/leaf.vmdk`, { ...options, backing: `${tree}/other.vmdk` }),
  consolidate: ([tree], options) =>
    vmdkit.consolidateDisk(`${tree}/top.vmdk`, { ...options, above: `${tree}/mid.vmdk` }),
  promote: ([tree], options) => vmdkit.promoteDisk(`${tree}/leaf.vmdk`, options),
  shadow: ([tree], options) =>
    vmdkit.shadowDisk(`${tree}/leaf.vmdk`, {
      ...options,
      to: `${tree}/new.vmdk`,
      move: [`${tree}/top.vmdk`],
    }),
  resize: ([tree], options) => vmdkit.resizeTree(`${tree}/top.vmdk`, 256 * 1024, options),
  compact: ([tree], options) => vmdkit.compactDisk(`${tree}/leaf.vmdk`, options),
  rename: ([tree], options) => vmdkit.renameDisk(`${tree}/mid.vmdk`, `${tree}/new.vmdk`, options),
});

async function allCreated(results) {
  for await (const { status } of results) if (status !== 'created') throw new Error(status);
}

function manyChanges(into, vm) {
  const text = (value) => Buffer.from(value);
  const folders = ['c1', 'c2', 'c3'].map((name) => ({
    kind: 'folder',
    path: `${into}/${name}`,
    files: [
      { name: 'a', content: text(name) },
      { name: 'b', content: { copyOf: `${vm}/base` } },
    ],
  }));
  return {
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
  };
}

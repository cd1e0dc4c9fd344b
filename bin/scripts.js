// Loads the joined scripts of the command line (dist/cli), together with what Node's compiler made of them when they
// were built: compiling them anew would be most of what a short command costs. What was kept by another version of Node
// or for another processor is of no use; then the script is compiled as any other.
'use strict';

const { readFileSync } = process.getBuiltinModule('node:fs');
const { dirname, join } = process.getBuiltinModule('node:path');
const { Script } = process.getBuiltinModule('node:vm');

/** Modules of Node that take milliseconds to load. */
const LARGE = /^node:(?:child_process|crypto|http|https|module|net|tls|worker_threads|zlib)$/;

/** Where the compiled form of `file` is kept, for this Node alone. */
const compiledOf = (file) => `${file}.${process.version}-${process.arch}.bin`;

/**
 * A `require` for the scripts beside and below `folder`, for Node's own modules and for packages. `loaded` is told of each
 * script.
 */
function scriptsIn(folder, loaded = () => undefined) {
  const modules = new Map();
  const load = (file) => {
    const known = modules.get(file);
    if (known !== undefined) return known.exports;
    const module = { exports: {} };
    modules.set(file, module);
    // The scripts hold nothing but ASCII, and are functions of what Node gives to every module.
    const script = new Script(readFileSync(file, 'latin1'), {
      filename: file,
      cachedData: readIfThere(compiledOf(file)),
    });
    loaded(script, compiledOf(file));
    script.runInThisContext()(module.exports, requireFrom(dirname(file)), module, file, dirname(file));
    return module.exports;
  };
  const requireFrom = (from) => (name) => {
    if (name.startsWith('.')) return load(join(from, name));
    if (LARGE.test(name)) return whenUsed(name);
    return (
      process.getBuiltinModule(name) ??
      process.getBuiltinModule('module').createRequire(join(from, 'any.cjs'))(name)
    );
  };
  return requireFrom(folder);
}

/** A module of Node that is loaded when something of it is first used: most commands never do. */
function whenUsed(name) {
  return new Proxy({}, { get: (_, key) => process.getBuiltinModule(name)[key] });
}

function readIfThere(file) {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

exports.scriptsIn = scriptsIn;

// Node's own fs. An `import` of node:fs, unlike this, asks for all that it exports, and so loads its streams and its
// promises too: 10 ms of every start for what is never used here.
import type * as Fs from 'node:fs';

export const fs: typeof Fs = process.getBuiltinModule('node:fs');

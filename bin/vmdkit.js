#!/usr/bin/env node
// Starts the command line. `--version` is answered here, so that it stays instant; all else is in dist. A CommonJS module
// (see package.json beside it): Node takes some ten milliseconds to get its loader of other modules ready.
'use strict';
const { scriptsIn } = require('./scripts.js');

const { existsSync, readFileSync } = process.getBuiltinModule('node:fs');
const { dirname, join } = process.getBuiltinModule('node:path');
const args = process.argv.slice(2);
const root = dirname(__dirname);

if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  console.log(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
} else if (!existsSync(join(root, 'dist/cli/main.cjs'))) {
  console.error('vmdkit: this checkout is not built yet; run: npm run build');
  process.exitCode = 3;
} else {
  const { main } = scriptsIn(join(root, 'dist/cli'))('./main.cjs');
  main(args).then((code) => {
    process.exitCode = code;
  });
}

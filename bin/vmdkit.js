#!/usr/bin/env node
// Starts the command line. `--version` is answered here, so that it stays instant; all else is in dist.
import { existsSync, readFileSync } from 'node:fs';

const args = process.argv.slice(2);
const entry = new URL('../dist/cli/main.js', import.meta.url);

if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
} else if (!existsSync(entry)) {
  console.error('vmdkit: this checkout is not built yet; run: npm run build');
  process.exitCode = 3;
} else {
  const { main } = await import(entry.href);
  process.exitCode = await main(args);
}

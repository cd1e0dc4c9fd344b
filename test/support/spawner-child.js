// Runs programs for a test process: started once, small, and so quick to fork, which a process that holds the modules and
// disks of many tests is not. It ends with its parent.
import { execFile } from 'node:child_process';

process.on('disconnect', () => process.exit());
process.on('message', ({ id, file, args, options: { input, ...settings } }) => {
  const child = execFile(file, args, settings, (error, stdout, stderr) => {
    const failed = error !== null && typeof error.code !== 'number' && !error.signal;
    const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
    process.send?.(failed ? { id, error: error.message } : { id, result: { stdout, stderr, code } });
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
});

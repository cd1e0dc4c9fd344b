// How much memory a process has had at its peak, as code for a script that is measured in a process of its own.

/**
 * An expression in MiB; the script imports `readFileSync` for it. Not maxRSS where that can be helped: Linux counts in
 * what the process was forked from.
 */
export const PEAK_MIB = `(process.platform === 'linux'
  ? Number(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))[1])
  : process.resourceUsage().maxRSS) / 1024`;

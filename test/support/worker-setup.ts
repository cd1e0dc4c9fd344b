// Run in each worker before a test file: what vitest.config.ts sets for the memory of workers is not for the programs that
// tests start, of which some are measured.
delete process.env['GLIBC_TUNABLES'];

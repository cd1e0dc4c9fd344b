// How the tests run: two workers at most, in processes of their own, since tests open files, locks and sockets.
// VMDKIT_TEST_REPORT names a file that gets the results as JSON as well; .ci/run reads it.
import { defineConfig } from 'vitest/config';

const report = process.env['VMDKIT_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    allowOnly: false,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});

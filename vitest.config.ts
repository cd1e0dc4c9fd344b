// How the tests run: three workers, since on two cores many tests wait for a disk or a child, and in processes of their
// own, since tests open files, locks and sockets. VMDKIT_TEST_REPORT names a file that gets the results as JSON as
// well; .ci/run reads it.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const report = process.env['VMDKIT_TEST_REPORT'];
/** Six times as much is run before a function is optimised, which most in tests are not worth; Node 22 has no such option. */
const compileLater = process.versions.node.startsWith('20.') ? ['--interrupt-budget=400000'] : [];

/** One file takes a minute: begun last, it would leave the other worker with nothing to do. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const long = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith('corpus-large.test.ts');
    return [...sorted.filter(long), ...sorted.filter((file) => !long(file))];
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // A worker keeps its modules from file to file: nothing in src has state of its own.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    maxWorkers: 3,
    // Room for what is young: half of what the tests made was copied about by the collector otherwise.
    execArgv: ['--min-semi-space-size=32', '--max-semi-space-size=32', ...compileLater],
    allowOnly: false,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});

// How the tests run: three workers, since on two cores many tests wait for a disk or a child, and in processes of their
// own, since tests open files, locks and sockets. VMDKIT_TEST_REPORT names a file that gets the results as JSON as
// well; .ci/run reads it.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const report = process.env['VMDKIT_TEST_REPORT'];
/** Six times as much is run before a function is optimised, which most in tests are not worth; Node 22 has no such option. */
const compileLater = process.versions.node.startsWith('20.') ? ['--interrupt-budget=400000'] : [];

/**
 * The C library gives large memory back when it is freed, and takes it anew for the next buffer: every page of it is then
 * cleared and mapped again, half of all that a test run maps. Workers keep it. glibc alone reads this, when a process
 * starts; test/support/worker-setup.ts takes it away from what tests start.
 */
const KEEP_FREED = { trim_threshold: 2 ** 28, mmap_threshold: 2 ** 25, top_pad: 2 ** 24 };
process.env['GLIBC_TUNABLES'] ??= Object.entries(KEEP_FREED)
  .map(([name, size]) => `glibc.malloc.${name}=${size}`)
  .join(':');

/**
 * Files that take longest, longest first: begun last, one would leave the other workers with nothing to do. Without the
 * times of a run before, as on a fresh clone, files are begun by their size, which says nothing of these.
 */
const LONGEST = [
  'chain/corpus-large',
  'interop/thousand-machines',
  'interop/chain-mixed',
  'interop/read-qemu-chains',
  'docs/walkthroughs',
  'interop/write-qemu-disks',
  'examine/large-disks',
  'docs/worked-case',
  'operations/check-large',
  'interop/look',
  'interop/chain-of-two',
  'machine/guard-crash',
  'machine/tree-crash',
  'interop/create',
  'cli/tree',
  'machine/tree-property',
].map((name) => `/test/${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return place < 0 ? LONGEST.length : place;
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
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
    setupFiles: ['test/support/worker-setup.ts'],
    sequence: { sequencer: LongestFirst },
    maxWorkers: 3,
    // Room for what is young: half of what the tests made was copied about by the collector otherwise.
    execArgv: ['--min-semi-space-size=32', '--max-semi-space-size=32', ...compileLater],
    allowOnly: false,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});

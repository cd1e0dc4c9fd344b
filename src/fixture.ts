// The library for test authors, `vmdkit/fixture`: disks, chains and machines made from a seed, sound or broken in a way
// that has a name, with the answers that a reader must give.

// What is wanted: as JSON or in code.
export { fill, fixtureSpec, type MachineOver, type SpecBuilder } from './fixture/spec-builder.ts';
export { readFixtureSpec } from './fixture/read-spec.ts';
export type {
  BytesFill,
  DiskSpec,
  ExtentSpec,
  ExtentType,
  FileFill,
  Fill,
  FixtureSpec,
  MachineSpec,
  PartitionFill,
  PartitionSpec,
  PatternFill,
  RandomFill,
  Size,
  SnapshotSpec,
  StampFill,
  ZeroFill,
} from './fixture/spec.ts';

// Making it, and putting it somewhere.
export { makeFixture } from './fixture/faults.ts';
export type { Fixture, MakeFixtureOptions } from './fixture/make-fixture.ts';
export { fixtureStore, writeFixture, type WriteFixtureOptions } from './fixture/write-fixture.ts';
export { fixtureTar } from './fixture/tar.ts';
export { seededBytes, seededRandom } from './fixture/seeded.ts';

// Broken on purpose.
export { faultNamed, FAULTS, makeFaultyFixture, type FaultyFixture } from './fixture/faults.ts';
export type { Fault, FaultGround } from './fixture/fault.ts';
export { groundSpec } from './fixture/grounds.ts';

// The right answers, and proving them.
export {
  problemsOf,
  readingOf,
  verifyFixture,
  type FixtureDifference,
  type FixtureVerification,
  type VerifyFixtureOptions,
} from './fixture/verify.ts';
export type {
  ExpectedDisk,
  ExpectedFault,
  ExpectedFinding,
  ExpectedFixture,
  ExpectedMachine,
  ExpectedRun,
} from './fixture/expected.ts';

// For tests.
export {
  assertSameContent,
  assertSoundDisk,
  diskMatchers,
  type DiskLike,
  type DiskMatchers,
  type MatcherResult,
} from './fixture/matchers.ts';

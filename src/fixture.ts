// The library for test authors, `vmdkit/fixture`: disks, chains and machines made from a seed, sound or broken in a way
// that has a name, with the answers that a reader must give.

export { seededBytes, seededRandom } from './fixture/seeded.ts';

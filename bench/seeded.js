// Numbers that are the same in every run, so that every run measures the same.

/** A generator of numbers in [0, 1) that gives the same ones for the same seed. */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

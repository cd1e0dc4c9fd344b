// Numbers that are the same in every run, so that every run measures the same.

/** A generator of numbers in [0, 1) that gives the same ones for the same seed. */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

/** 1 MiB of what deflates, though not easily: numbers as text, with gaps. */
export function text() {
  const bytes = Buffer.alloc(1 << 20);
  const random = seeded(11);
  for (let at = 0; at < bytes.length; at += 8) bytes.write(Math.floor(random() * 1e6).toString(36), at);
  return bytes;
}

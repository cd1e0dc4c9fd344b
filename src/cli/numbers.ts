// Numbers for people: sizes in powers of 1024 with the exact bytes where it matters, rates, times, names of files.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `1.5 GiB`, at most `digits` digits behind the point. No package: those load the tables of every language first. */
export function sizeText(bytes: number, digits = 2): string {
  let [value, unit] = [bytes, 0];
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${grouped(Number(value.toFixed(digits)))} ${UNITS[unit]!}`;
}

/** `1.5 GiB (1,610,612,736 bytes)`; below 1 KiB the bytes alone. */
export function exactSizeText(bytes: number): string {
  return bytes < 1024 ? `${bytes} bytes` : `${sizeText(bytes)} (${grouped(bytes)} bytes)`;
}

export function rateText(bytesPerSecond: number): string {
  return `${sizeText(bytesPerSecond, 0)}/s`;
}

/** `8 s`, `3 min 20 s`, `2 h 5 min` */
export function timeText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `1,610,612,736` */
export function grouped(value: number): string {
  // toLocaleString takes 10 ms to get ready.
  return String(value).replace(/\B(?<!\.\d*)(?=(?:\d{3})+(?:\.|$))/g, ',');
}

/** `1 extent`, `2 extents` */
export function plural(count: number, one: string): string {
  return `${grouped(count)} ${one}${count === 1 ? '' : 's'}`;
}

/** That two disks are of two sizes, in bytes. */
export function sizesDiffer(a: number, b: number): string {
  return `the sizes differ: A has ${exactSizeText(a)}, B has ${exactSizeText(b)}`;
}

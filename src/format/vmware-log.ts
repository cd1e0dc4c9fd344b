// Lines of a vmware.log: when, and what. Rule: a time counts only with its day, year and zone; older releases wrote local
// times without either, which place nothing. Sources: logs of Workstation, Fusion and ESXi as they are published.

export interface LogLine {
  /** Nanoseconds since the epoch; missing where the line has no whole time. */
  readonly nanos?: bigint;
  /** The line without its time. */
  readonly text: string;
}

/** `2022-11-28T15:00:00.123Z| vmx| …`, `2022-11-28T16:00:00.123+01:00| …`, `2023-01-01T10:00:00.123Z In(05) vmx - …` */
const DATED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)[|\s]\s*(.*)$/;
/** `Nov 28 15:00:00.123: vmx| …` */
const UNDATED = /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?: (.*)$/;

/** Undefined for what is no beginning of an entry. */
export function readLogLine(line: string): LogLine | undefined {
  const dated = DATED.exec(line);
  if (dated !== null) {
    const [, seconds, fraction = '', zone, text = ''] = dated;
    const millis = Date.parse(`${seconds}${zone}`);
    if (Number.isNaN(millis)) return { text };
    return { nanos: BigInt(millis) * 1_000_000n + BigInt(fraction.padEnd(9, '0')), text };
  }
  const undated = UNDATED.exec(line)?.[1];
  return undated === undefined ? undefined : { text: undated };
}

/** Whether an entry tells of disks, snapshots or power: what a timeline of disks wants to know. */
export function concernsDisks(text: string): boolean {
  return /disk|vmdk|snapshot|consolidat|parent|\bcid\b|power|checkpoint|log for vmware|vmx.*(?:exit|version)/i.test(
    text,
  );
}

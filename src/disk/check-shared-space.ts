// Finds extents of one disk that are the same part of the same file: writing one would change the other. Files are
// told apart by identity, so that links and spellings do not hide it.
import type { FindingLog } from '../grain/check-findings.ts';

interface Part {
  readonly path: string;
  /** Bytes, `end` exclusive. */
  readonly start: number;
  readonly end: number;
  readonly line: number;
}

export class SharedSpace {
  readonly #files = new Map<string, Part[]>();

  /** `line`: of the descriptor, that says so. */
  add(identity: string, path: string, start: number, end: number, line: number): void {
    const parts = this.#files.get(identity);
    const part = { path, start, end, line };
    if (parts === undefined) this.#files.set(identity, [part]);
    else parts.push(part);
  }

  note(descriptorPath: string, log: FindingLog): void {
    for (const parts of this.#files.values()) {
      parts.sort((a, b) => a.start - b.start || a.line - b.line);
      let before = parts[0]!;
      for (const part of parts.slice(1)) {
        const { path, line } = before;
        if (part.start < before.end) {
          const message = () => `lines ${line} and ${part.line} are the same part of ${path}`;
          log.error('EXT-OVERLAP', { path: descriptorPath }, message);
        }
        if (part.end > before.end) before = part;
      }
    }
  }
}

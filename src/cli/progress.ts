// Progress on stderr: a bar on a terminal, a plain line now and then elsewhere, or JSON lines. Rule: it never goes to
// stdout, and a quick task shows nothing.
import type { Progress } from '../core/task.ts';
import { rateText, sizeText, timeText } from './numbers.ts';
import type { OutputStream } from './streams.ts';

export interface ProgressView {
  show(progress: Progress): void;
  /** Leaves nothing half-drawn behind. */
  end(): void;
}

/** Milliseconds between lines off a terminal. */
const LINE_EVERY = 5000;
const JSON_EVERY = 500;
const BAR_EVERY = 100;
/** A task that ends sooner than this shows no bar. */
const BAR_AFTER = 300;

/** A line each `LINE_EVERY` ms (with `eager` each second and one at the end), or JSON lines. */
export function lineView(
  stream: OutputStream,
  mode: 'lines' | 'eager' | 'json',
  now: () => number = Date.now,
): ProgressView {
  const every = mode === 'json' ? JSON_EVERY : mode === 'eager' ? 1000 : LINE_EVERY;
  const start = now();
  let last = start;
  let pending: Progress | undefined;
  const print = (progress: Progress): void => {
    stream.write(
      `${mode === 'json' ? jsonLine(progress, now() - start) : textLine(progress, now() - start)}\n`,
    );
    last = now();
    pending = undefined;
  };
  return {
    show(progress) {
      if (now() - last >= every) print(progress);
      else pending = progress;
    },
    end() {
      if (mode !== 'lines' && pending !== undefined) print(pending);
    },
  };
}

/** A bar with rate and time left, cleared at the end. Loads cli-progress. */
export async function barView(stream: OutputStream): Promise<ProgressView> {
  const { default: progress } = await import('cli-progress');
  const start = Date.now();
  const bar = new progress.SingleBar({
    // It is a terminal: without one there is no bar.
    stream: stream as NodeJS.WriteStream,
    clearOnComplete: true,
    hideCursor: true,
    fps: 1000 / BAR_EVERY,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    format: (options, params, payload: { text?: string }) => {
      const share = params.total === 0 ? 1 : params.value / params.total;
      const width = options.barsize ?? 30;
      const full = Math.round(width * Math.min(1, share));
      const drawn = (options.barCompleteString ?? '').slice(0, full);
      const rest = (options.barIncompleteString ?? '').slice(0, width - full);
      return `${drawn}${rest} ${payload.text ?? ''}`;
    },
  });
  let started = false;
  return {
    show(now) {
      const text = textLine(now, Date.now() - start);
      if (started) {
        bar.setTotal(now.total);
        bar.update(now.done, { text });
        return;
      }
      if (Date.now() - start < BAR_AFTER) return;
      bar.start(now.total, now.done, { text });
      started = true;
    },
    end() {
      if (started) bar.stop();
    },
  };
}

/** `copying: 45 %, 1.2 GiB of 2.6 GiB, 310 MiB/s, 5 s left` */
function textLine(progress: Progress, elapsed: number): string {
  const { phase, done, total, unit } = progress;
  const amount = (count: number): string => (unit === 'bytes' ? sizeText(count) : String(count));
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  const rate = rateOf(done, elapsed);
  const left = rate === 0 || done >= total ? [] : [`${timeText((total - done) / rate)} left`];
  const speed = rate === 0 ? [] : [unit === 'bytes' ? rateText(rate) : `${rate.toFixed(1)} ${unit}/s`];
  const amounts = `${amount(done)} of ${amount(total)}${unit === 'bytes' ? '' : ` ${unit}`}`;
  return `${phase}: ${[`${percent} %`, amounts, ...speed, ...left].join(', ')}`;
}

function jsonLine(progress: Progress, elapsed: number): string {
  const rate = rateOf(progress.done, elapsed);
  const eta = rate === 0 ? null : Math.ceil((progress.total - progress.done) / rate);
  return JSON.stringify({ progress: { ...progress, rate: Math.round(rate), eta } });
}

/** Units per second. */
function rateOf(done: number, elapsed: number): number {
  return elapsed < 100 ? 0 : (1000 * done) / elapsed;
}

// Runs that work in one folder at the same moment: those that give way try again a little later. Rule: it is for runs that take
// moments; one that takes longer is still an error, which names it.
import { isVmdkError } from '../core/errors.ts';
import { pause, type TaskOptions } from '../core/task.ts';

const TRIES = 50;
const PAUSE_MS = 40;

/** What `work` comes to once no other run is in its way. @throws VmdkError `run-in-progress` when one still is after two seconds. */
export async function afterOthers<T>(work: () => Promise<T>, task: TaskOptions): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!isVmdkError(error, 'run-in-progress') || tries >= TRIES) throw error;
      await pause(PAUSE_MS * (0.5 + Math.random()), task);
    }
  }
}

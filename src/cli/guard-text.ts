// What people read of a guarded base: how it stands against its fingerprint, where it changed, and who shows that.
import { showText } from '../format/plain-text.ts';
import type { GuardReport } from '../machine/guard-types.ts';
import { grouped, plural } from './numbers.ts';
import { shownPath } from './shown-path.ts';

const MOST_RANGES = 20;

export function checkText(report: GuardReport, all: boolean): string[] {
  const { verdict, cid, changed, children, recorded } = report;
  const name = shownPath(report.filename);
  const since = `${recorded.slice(0, 19).replace('T', ' ')} UTC`;
  const rolled =
    report['recorded-cid'] === cid ? `CID ${cid} as then` : `CID ${report['recorded-cid']} then, ${cid} now`;
  const head = {
    'as-recorded': `${name}: as recorded on ${since}, CID ${cid}${report['read-only'] ? ', read-only' : ''}`,
    'cid-rolled': `${name}: contents as recorded on ${since}; ${rolled}: --restore-cid puts it back`,
    'changed-unseen': `${name}: changed since ${since}, where every disk above has data of its own; ${rolled}`,
    changed: `${name}: changed since ${since}; ${rolled}`,
  }[verdict!];
  const most = all ? changed.length : MOST_RANGES;
  return [
    head,
    ...changed.slice(0, most).map(({ start, count }) => `  sectors ${start} to ${start + count - 1}`),
    ...(changed.length > most ? [`  and ${grouped(changed.length - most)} more stretches`] : []),
    ...(changed.length === 0 ? [] : children.map(childText)),
  ];
}

export function doneText(report: GuardReport): string {
  const name = shownPath(report.filename);
  switch (report.action) {
    case 'set':
      return `${name}: recorded in ${shownPath(report.fingerprint)}${report['read-only'] ? ', and read-only' : ''}`;
    case 'release':
      return `${name}: no longer guarded`;
    case 'restore-cid':
    case 'check':
      if (report.verdict === 'as-recorded') return `${name}: CID ${report.cid} is the recorded one already`;
      if (report.verdict === 'cid-rolled')
        return `${name}: the contents are as recorded; the CID is ${report.cid} again`;
      return `${name}: every disk above has data of its own where it changed; the CID is ${report.cid} again`;
  }
}

function childText({ path, sectors, problem }: GuardReport['children'][number]): string {
  if (problem !== undefined) return `  ${shownPath(path)} cannot be read: ${showText(problem)}`;
  if (sectors === 0) return `  ${shownPath(path)} does not show it`;
  return `  ${shownPath(path)} shows ${plural(sectors, 'sector')} of it`;
}

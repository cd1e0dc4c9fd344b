// What is wrong or odd about a machine as a whole, as findings. Pure: it looks at what openMachine has found.
import { posix } from 'node:path';
import type { Finding, Severity } from '../core/finding.ts';
import type { DictionaryProblem } from '../format/dictionary.ts';
import { showText } from '../format/plain-text.ts';
import { reasonOf } from '../operations/describe-disk.ts';
import type { Machine, MachineDisk, NamedDisk } from './machine.ts';

export function judgeMachine(machine: Omit<Machine, 'findings'>): Finding[] {
  const { path, vmx, config, vmsd, vmsdPath, snapshots, disks } = machine;
  const findings: Finding[] = [
    ...fromProblems([...vmx.problems, ...config.problems], path),
    ...fromProblems([...(vmsd?.problems ?? []), ...snapshots.problems], vmsdPath),
    ...disks.flatMap((disk) => judgeDisk(disk, path)),
    ...judgeTwins(disks, path),
  ];
  for (const { uid, displayName } of snapshots.snapshots) {
    for (const disk of machine.snapshotDisks.get(uid) ?? []) {
      if (disk.problem === undefined) continue;
      const what = `${disk.node === '' ? 'a disk' : disk.node} of snapshot ${uid} "${showText(displayName)}"`;
      findings.push(finding('MACHINE-SNAPSHOT-DISK', 'error', `${what}: ${reason(disk)}`, vmsdPath));
    }
  }
  findings.push(...judgeCurrent(machine), ...judgeFrozen(machine));
  if (snapshots.needConsolidate) {
    const message = 'VMware has noted that deltas are left over from a snapshot (snapshot.needConsolidate)';
    findings.push(finding('MACHINE-CONSOLIDATE', 'warning', message, vmsdPath));
  }
  return findings;
}

function judgeDisk(disk: MachineDisk, path: string): Finding[] {
  const { node, problem, guessed, fileName } = disk;
  if (problem !== undefined) return [finding('MACHINE-DISK', 'error', `${node}: ${reason(disk)}`, path)];
  if (guessed !== true) return [];
  const message = `${node}: "${showText(fileName)}" is not there; taken for ${disk.path}, which has the same name`;
  return [finding('MACHINE-DISK-GUESSED', 'warning', message, path)];
}

function judgeTwins(disks: readonly MachineDisk[], path: string): Finding[] {
  const findings: Finding[] = [];
  const first = new Map<string, MachineDisk>();
  for (const disk of disks) {
    const identity = disk.links[0]?.identity;
    if (identity === undefined) continue;
    const twin = first.get(identity);
    if (twin === undefined) first.set(identity, disk);
    else {
      const message = `${disk.node} and ${twin.node} are the same disk, ${showText(disk.fileName)}`;
      findings.push(finding('MACHINE-DISK-TWICE', 'error', message, path));
    }
  }
  return findings;
}

/** The running state must stand on the disks of the snapshot that it says it came from. */
function judgeCurrent({ snapshots, snapshotDisks, disks, vmsdPath }: Omit<Machine, 'findings'>): Finding[] {
  const { currentUid } = snapshots;
  if (currentUid === undefined) return [];
  const findings: Finding[] = [];
  for (const { node, path, fileName, links } of snapshotDisks.get(currentUid) ?? []) {
    const frozen = links[0];
    const current = disks.find((disk) => disk.node === node);
    // A disk that was taken off the machine since, or is missing, is another matter.
    if (path === undefined || frozen === undefined || current === undefined || current.links.length === 0)
      continue;
    if (current.device.independent) continue;
    if (current.links.some(({ identity }) => identity === frozen.identity)) continue;
    const leaf = current.links[0]!;
    const message = `${node} runs on ${posix.basename(leaf.path)}, which does not stand on ${showText(fileName)} of the current snapshot ${currentUid}`;
    findings.push(finding('MACHINE-CURRENT', 'error', message, vmsdPath));
  }
  return findings;
}

/** What a snapshot has frozen, the running machine must not write into. */
function judgeFrozen({ snapshots, snapshotDisks, disks, path }: Omit<Machine, 'findings'>): Finding[] {
  const findings: Finding[] = [];
  for (const { uid } of snapshots.snapshots) {
    for (const { links } of snapshotDisks.get(uid) ?? []) {
      const frozen = links[0]?.identity;
      const writing = disks.find((disk) => frozen !== undefined && disk.links[0]?.identity === frozen);
      // An independent disk has no point to go back to: its entry is for the list only.
      if (writing === undefined || writing.device.independent) continue;
      const message = `${writing.node} runs on ${showText(writing.fileName)} itself, which snapshot ${uid} has frozen: started so, it destroys the snapshot`;
      findings.push(finding('MACHINE-FROZEN', 'error', message, path));
    }
  }
  return findings;
}

function fromProblems(problems: readonly DictionaryProblem[], path: string): Finding[] {
  return problems.map(({ code, severity, message, line }) => {
    const place = line === undefined ? '' : `line ${line}: `;
    return finding(code.toUpperCase(), severity, `${place}${message}`, path);
  });
}

function reason({ problem }: NamedDisk): string {
  return reasonOf(problem!).message;
}

function finding(code: string, severity: Severity, message: string, path: string): Finding {
  return { code, severity, message, path, repairable: false };
}

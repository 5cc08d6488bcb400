import type { Selection } from '../../simulate/selection.js';

/** A run which failed once, in its shortest form. */
export interface Found extends Selection {
  /** What went wrong. */
  readonly name: string;
  /** What its log has as long as it does what its name says: a change of plan or users gives a seed another meaning. */
  readonly log: RegExp;
}

/** What the simulation has found, so that it stays mended. */
export const found: readonly Found[] = [
  {
    name: 'a floating address which its host goes on forwarding is nobody else’s',
    seed: 331,
    steps: 80,
    onlySteps: [9, 16, 24, 27, 76],
    onlyFaults: [1, 2],
    log: /could not removeFloatingForward \(simulated: (?:fail before|hang)\)[^]*USER \w+ (?:Allocate|Associate|Release)Address [^\n]*: 200 ok\n[^]*no more of them/,
  },
  {
    name: 'a floating address is forwarded though the host failed to when it started',
    seed: 185,
    steps: 80,
    onlySteps: [14, 15, 17, 19, 39, 78],
    onlyFaults: [1, 6],
    log: /nova-network@(cloud\d) starts again\n(?:(?![^\n]* (?:FAULT|USER) )[^\n]*\n)*[^\n]*nova-network@\1 simulate\.driver [^\n]*ensureFloatingForward: (?:fail before|hang|stuck)/,
  },
  {
    name: 'a machine which a failed build could not end is taken away later',
    seed: 615,
    steps: 80,
    onlySteps: [49],
    onlyFaults: [1, 2],
    log: /spawn: fail after\n[^]*undo spawn failed: The back end could not destroy/,
  },
  {
    name: 'a group which is deleted is joined by no instance which is made at that moment',
    seed: 37,
    steps: 80,
    onlySteps: [42, 61, 77],
    onlyFaults: [1],
    // The request has no answer yet when the group is deleted.
    log: /USER (\w+ RunInstances [^\n:]*SecurityGroup\.1=(group\d)[^\n:]*)\n(?:(?![^\n]*USER \1: )[^\n]*\n)*[^\n]*USER \w+ DeleteSecurityGroup GroupName=\2\n[^]*DeleteSecurityGroup GroupName=\2: 200/,
  },
];

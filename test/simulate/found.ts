import type { Selection } from '../../simulate/selection.js';

/** A run which failed once, in its shortest form. */
export interface Found extends Selection {
  /** What went wrong. */
  readonly name: string;
}

/** What the simulation has found, so that it stays mended. */
export const found: readonly Found[] = [
  {
    name: 'a machine which can be neither stopped nor destroyed keeps its address',
    seed: 143,
    steps: 80,
    onlySteps: [13, 51, 70],
    onlyFaults: [2],
  },
  {
    name: 'a floating address which its host goes on forwarding is nobody else’s',
    seed: 321,
    steps: 80,
    onlySteps: [14, 15, 26, 68],
    onlyFaults: [0],
  },
  {
    name: 'a floating address is forwarded though the host failed to when it started',
    seed: 519,
    steps: 80,
    onlySteps: [29, 30, 33, 36],
    onlyFaults: [9, 10],
  },
  {
    name: 'a machine which a failed build could not end is taken away later',
    seed: 615,
    steps: 80,
    onlySteps: [49],
    onlyFaults: [1, 2],
  },
  {
    name: 'a group which is deleted is let in by no rule which is added at that moment',
    seed: 1123,
    steps: 80,
    onlySteps: [39, 40, 41, 42, 44, 45, 46, 47, 48, 49],
    onlyFaults: [6],
  },
  {
    name: 'a group which is deleted is joined by no instance which is made at that moment',
    seed: 1249,
    steps: 80,
    onlySteps: [13, 45, 65],
    onlyFaults: [7],
  },
];

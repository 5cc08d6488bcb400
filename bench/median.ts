/** The middle one of an odd number, in the order of a figure of each. */
export function medianBy<T>(list: readonly T[], figure: (one: T) => number): T {
  return [...list].sort((one, other) => figure(one) - figure(other))[(list.length - 1) >> 1]!;
}

/** The middle one of some figures. */
export function median(figures: readonly number[]): number {
  return medianBy(figures, (figure) => figure);
}

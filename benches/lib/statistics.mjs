// Medians and spreads over rounds. A round that failed is null and is left out, in pairs where two are compared.
export function median(values) {
  const sorted = present(values).sort((left, right) => left - right);
  if (sorted.length === 0) return null;
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** {median, min, max}, or null when no round has a figure. */
export function summary(values) {
  const kept = present(values);
  if (kept.length === 0) return null;
  return { median: median(kept), min: Math.min(...kept), max: Math.max(...kept) };
}

/** The ratio of two contenders, taken within each round, so that a slow moment of the machine hits both sides. */
export function ratioSummary(ours, theirs) {
  return summary(
    ours.map((value, round) => {
      const other = theirs[round];
      return isPresent(value) && isPresent(other) && other !== 0 ? value / other : null;
    }),
  );
}

const isPresent = (value) => value !== null && value !== undefined;
const present = (values) => values.filter(isPresent);

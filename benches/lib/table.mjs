// What the reports are made of: tables, and cells with a spread.

export function table(head, rows) {
  const line = (entries) => `| ${entries.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** A summary as one cell: the median, with the smallest and the largest where the rounds differ. */
export function spread(found, show) {
  if (found === null) return '–';
  const [middle, least, most] = [found.median, found.min, found.max].map(show);
  return least === most ? middle : `${middle} (${least}–${most})`;
}

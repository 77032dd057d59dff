// The figures that a part sets itself, each compared with what this run measured.
import { ratioSummary, summary } from '../lib/statistics.mjs'

/** [{ text, unit, measured: { median, min, max } | null, verdict }] of a part. */
export function goalsOf(part, { of, failures }) {
  return part.goals.map((goal) => {
    const figures = of(part.id, ...goal.of)
    const measured = goal.by === undefined ? summary(figures) : ratioSummary(figures, of(part.id, ...goal.by))
    const failed = failures(part.id, goal.of[0])
    return { text: goal.text, unit: goal.unit ?? '×', measured, verdict: verdictOf(goal, measured, failed) }
  })
}

// By the median, or by the worst round; it is said when single rounds would have given another verdict.
function verdictOf({ atLeast, atMost, under, worst }, measured, failed) {
  if (failed > 0) return '**failed**'
  if (measured === null) return 'not measured'
  const reaches = (figure) => {
    if (under !== undefined) return figure < under
    return atLeast === undefined ? figure <= atMost : figure >= atLeast
  }
  const { median, min, max } = measured
  const isMet = worst ? reaches(min) && reaches(max) : reaches(median)
  return `${isMet ? 'met' : '**missed**'}${reaches(min) === reaches(max) ? '' : ' (rounds differ)'}`
}

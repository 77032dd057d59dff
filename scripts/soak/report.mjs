// The figures of a run as a table, and what is wrong with them.

const SHOWN = 12
/** Memory is looked at from here on, when every key has been written and every connection has been lost. */
const WARM_AFTER_MS = 120_000
const LONG_SECONDS = 180
const MOST_GROWTH = 0.05
const MEGABYTE = 2 ** 20

/** { text, failures }; a run without failures is a good one. */
export function report({ seconds, began, writers, judged, faults, least }) {
  const sum = (of) => writers.reduce((total, writer) => total + of(writer), 0)
  const all = (of) => writers.flatMap(of)
  const count = (verdict) => judged.wrong.filter((wrong) => wrong.verdict === verdict).length
  const figures = {
    sets: sum(({ counts }) => counts.sets),
    lost: count('lost'),
    returned: count('returned'),
    unsettled: sum(({ pending }) => pending),
    failed: sum(({ counts }) => counts.failed),
    refused: sum(({ counts }) => counts.refused),
    stale: count('stale'),
    foreign: sum(({ counts }) => counts.foreign),
    misordered: all(({ by, misordered }) => misordered.map((text) => `${by}: ${text}`)),
  }
  const memory = writers.map((writer) => memoryOf(writer, began, seconds))
  const rows = [
    ['acknowledged writes', number(figures.sets)],
    ['acknowledged deletes', number(sum(({ counts }) => counts.deletes))],
    ['reads, loads', `${number(sum(({ counts }) => counts.reads))}, ${number(sum(({ counts }) => counts.loads))}`],
    ['kills -9', `${faults.kills}, ${faults.emptied} of them emptied the disk`],
    ['freezes', faults.freezes],
    ['cuts of one process', faults.cuts],
    ['outages, re-syncs', writers.map(({ by, outages, resyncs }) => `${by}: ${outages}, ${resyncs}`).join('; ')],
    ['in step with the server', writers.map(({ by, inStepMs }) => `${by}: ${(inStepMs / 1000).toFixed(0)} s`).join('; ')],
    ['lost', figures.lost],
    ['returned', figures.returned],
    ['unsettled', figures.unsettled],
    ['failed calls, refused writes', `${figures.failed}, ${figures.refused}`],
    ['stale answers, of another key', `${figures.stale}, ${figures.foreign}`],
    ['events out of order', figures.misordered.length],
    ['conflicts reported', sum(({ conflicts }) => conflicts)],
    ['writes dropped for want of room', sum(({ dropped }) => dropped)],
    ['slowest call', `${(Math.max(...writers.map(({ slowestMs }) => slowestMs)) / 1000).toFixed(2)} s`],
    ['keys, looks at them', `${number(judged.keys)}, ${number(judged.looks)}`],
    ...memory.map(({ by, text }) => [`memory of ${by}`, text]),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const details = [...judged.wrong.map(described), ...all(({ notes }) => notes), ...figures.misordered].slice(0, SHOWN)
  const text = [...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`), ...details].join('\n')
  return { text, failures: failuresOf({ ...figures, memory, seconds, writers, faults, least }) }
}

function failuresOf({ sets, lost, returned, unsettled, failed, refused, stale, foreign, misordered, memory, writers, faults, least }) {
  const must = [
    [lost === 0, `${lost} acknowledged writes are lost`],
    [returned === 0, `${returned} deleted values are back`],
    [unsettled === 0, `${unsettled} calls were never settled`],
    [failed === 0, `${failed} calls failed`],
    [refused === 0, `${refused} writes were refused`],
    [stale === 0, `${stale} answers are older than what their process had written`],
    [foreign === 0, `${foreign} answers are values of another key`],
    [misordered.length === 0, `${misordered.length} events are out of order`],
    [sets >= least.sets, `${number(sets)} acknowledged writes are fewer than ${number(least.sets)}`],
    [faults.kills >= least.kills, `${faults.kills} kills are fewer than ${least.kills}`],
    [faults.freezes >= least.freezes, `${faults.freezes} freezes are fewer than ${least.freezes}`],
    ...writers.map(({ by, drained }) => [drained, `${by} did not get back in step with the server`]),
    ...memory.map(({ by, growth }) => [growth < MOST_GROWTH, `the memory of ${by} grew by ${percent(growth)}`]),
  ]
  return must.filter(([holds]) => !holds).map(([, text]) => text)
}

/** Growth from the 30 s after warming up to the last 30 s; none where the run is too short for that. */
function memoryOf({ by, rss }, began, seconds) {
  const until = began + seconds * 1000
  const between = (from, to) => median(rss.filter(({ at }) => at >= from && at < to).map(({ bytes }) => bytes))
  const series = Array.from({ length: 8 }, (_, part) => {
    const length = (until - began) / 8
    return between(began + part * length, began + (part + 1) * length)
  })
  const shown = series.map((bytes) => (bytes === undefined ? '–' : (bytes / MEGABYTE).toFixed(0))).join(' ')
  if (seconds < LONG_SECONDS) return { by, growth: 0, text: `${shown} MB` }
  const warm = began + WARM_AFTER_MS
  const growth = between(until - 30_000, until) / between(warm, warm + 30_000) - 1
  return { by, growth, text: `${shown} MB; ${percent(growth)} since minute 2` }
}

function described({ key, at, verdict, stands, stamp, side, may, calls }) {
  return [
    `  ${key}, ${verdict}: ${stands} at ${at.toFixed(1)}, not ${may.join(' or ')}`,
    `    stored: ${stamp ?? 'nothing'}; beside it: ${side ?? 'nothing'}`,
    ...calls.map((call) => `    ${call}`),
  ].join('\n')
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
const percent = (share) => `${share >= 0 ? '+' : ''}${(share * 100).toFixed(1)} %`

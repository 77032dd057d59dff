// Running named steps with visible progress: one line when a step is done, a sign of life while a long one
// runs, the whole output of one that fails, and a summary. A step runs as soon as what it needs is done
// and the machine has room: `load` 2 fills its two cores, 1 is half, 0 waits mostly for the network.
// Steps with the same `alone` never run together (two cargos on one target folder would only wait).

const capacity = 2
const LAST_LINES = 60

/**
 * steps: [{ name, what, needs?: string[], load?: 0|1|2, alone?: string, timeoutMs, run({ note, line }) }]
 * `run` rejects with an Error whose message is all there is to know. Resolves to { passed, failed }.
 */
export async function runSteps(steps, { out = process.stdout, signOfLifeMs = 15_000 } = {}) {
  const results = new Map()
  const running = new Set()
  const started = Date.now()
  const width = Math.max(...steps.map(({ name }) => name.length))
  const say = (text) => out.write(`${text}\n`)
  let load = 0
  let wake = () => {}

  const conclude = (step, result) => {
    results.set(step.name, result)
    const done = `${results.size}/${steps.length}`.padStart(5)
    const mark = result.ok ? 'ok  ' : 'FAIL'
    say(`${done} ${mark} ${step.name.padEnd(width)} ${seconds(result.ms).padStart(8)}  ${result.note || step.what}`)
    if (!result.ok) say(indent(result.message))
  }

  const perform = async (step) => {
    const begin = Date.now()
    let note = ''
    let lastLine = ''
    const life = setInterval(() => {
      say(`      ...  ${step.name.padEnd(width)} ${seconds(Date.now() - begin).padStart(8)}  ${lastLine.slice(0, 100)}`)
    }, signOfLifeMs)
    let bound
    try {
      await Promise.race([
        step.run({
          note: (text) => (note = text),
          line: (text) => {
            const visible = text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '').trim()
            if (visible !== '') lastLine = visible
          },
        }),
        new Promise((_, reject) => {
          bound = setTimeout(() => reject(new Error(`came to no end within ${seconds(step.timeoutMs)}`)), step.timeoutMs)
        }),
      ])
      conclude(step, { ok: true, ms: Date.now() - begin, note })
    } catch (error) {
      conclude(step, { ok: false, ms: Date.now() - begin, note: '', message: messageOf(error) })
    } finally {
      clearInterval(life)
      clearTimeout(bound)
    }
  }

  while (results.size < steps.length) {
    for (const step of steps) {
      if (results.has(step.name) || running.has(step.name)) continue
      const needs = step.needs ?? []
      const missing = needs.find((name) => results.get(name)?.ok === false)
      if (missing) {
        conclude(step, { ok: false, ms: 0, note: '', message: `not run, because ${missing} failed` })
        continue
      }
      if (!needs.every((name) => results.has(name))) continue
      const weight = step.load ?? 1
      if (weight > 0 && load > 0 && load + weight > capacity) continue
      if (step.alone && steps.some(({ name, alone }) => alone === step.alone && running.has(name))) continue
      load += weight
      running.add(step.name)
      void perform(step).finally(() => {
        load -= weight
        running.delete(step.name)
        wake()
      })
    }
    if (results.size < steps.length && running.size > 0) await new Promise((resolve) => (wake = resolve))
  }

  const failed = steps.filter(({ name }) => !results.get(name).ok)
  // Once more at the end, where it is read: the last of what each of them said.
  for (const { name } of failed.filter((step) => results.get(step.name).ms > 0)) say(`\nfailed: ${name}\n${indent(lastLines(results.get(name).message))}`)
  say('')
  if (failed.length > 0) say(`failed: ${failed.map(({ name }) => name).join(', ')}`)
  say(`took ${seconds(Date.now() - started)}`)
  say(`${steps.length - failed.length} passed, ${failed.length} failed`)
  return { passed: steps.length - failed.length, failed: failed.length }
}

/** The chosen steps and everything they need, in the given order. */
export function withNeeds(steps, chosen) {
  const wanted = new Set()
  const add = (name) => {
    const step = steps.find((candidate) => candidate.name === name)
    if (!step) throw new Error(`there is no step ${JSON.stringify(name)}; there are: ${steps.map((each) => each.name).join(', ')}`)
    if (wanted.has(name)) return
    wanted.add(name)
    for (const need of step.needs ?? []) add(need)
  }
  for (const name of chosen) add(name)
  return steps.filter(({ name }) => wanted.has(name))
}

export function seconds(ms) {
  const total = ms / 1000
  return total < 100 ? `${total.toFixed(1)} s` : `${Math.floor(total / 60)} m ${String(Math.round(total % 60)).padStart(2, '0')} s`
}

function lastLines(text) {
  return text.trimEnd().split('\n').slice(-LAST_LINES).join('\n')
}

function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}

function indent(text) {
  return text.trimEnd().split('\n').map((line) => `      | ${line}`).join('\n')
}

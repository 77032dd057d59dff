// The rounds: every contender of every part once per round, in a fresh process, in an order that turns.
import { ask } from '../lib/child.mjs'
import { startRedis } from '../lib/redis-server.mjs'
import { roundsOf } from './parts.mjs'

const LIMIT_MS = 120_000

/**
 * [{ round, part, contender, figures | error }]; `child` is the script of a contender's process, as `ask` names it,
 * `program` the server's, and `tell` gets a line of progress at a time.
 */
export async function runRounds({ child, program, parts, rounds, tell }) {
  const results = []
  for (let round = 0; round < rounds; round += 1) {
    for (const part of parts) {
      const last = roundsOf(part, rounds)
      if (round >= last) continue
      const { contenders } = part
      for (const contender of contenders.map((_, index) => contenders[(index + round) % contenders.length])) {
        const outcome = await runOne(child, program, part, contender)
        tell(`round ${round + 1} of ${last}: ${part.id}, ${contender.label}: ${inWords(outcome)}`)
        results.push({ round, part, contender, ...outcome })
      }
    }
  }
  return results
}

async function runOne(child, program, part, contender) {
  const server = contender.redis ? await startRedis(program) : null
  const message = { partId: part.id, contenderId: contender.id, port: server?.port ?? null }
  try {
    return { figures: await ask(child, message, { limitMs: part.limitMs ?? LIMIT_MS }) }
  } catch (error) {
    return { error: error.message }
  } finally {
    await server?.stop()
  }
}

function inWords({ figures, error }) {
  if (error !== undefined) return `FAILED: ${error}`
  return Object.entries(figures).map(([column, figure]) => `${column} ${Number(figure.toPrecision(4))}`).join(', ')
}

/** What came of the rounds: `of` gives one figure per round, null where there is none, `failures` how many failed. */
export function found(results, rounds) {
  const linesOf = (partId, contenderId) =>
    results.filter(({ part, contender }) => part.id === partId && contender.id === contenderId)
  const of = (partId, contenderId, column) => {
    const given = Array.from({ length: rounds }, () => null)
    for (const { round, figures } of linesOf(partId, contenderId)) given[round] = figures?.[column] ?? null
    return given
  }
  const failures = (partId, contenderId) =>
    linesOf(partId, contenderId).filter(({ error }) => error !== undefined).length
  return { of, failures }
}

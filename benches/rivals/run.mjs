// Every scenario with every contender that can be in it, one after the other, each on an empty server.
import { ask } from '../lib/child.mjs'

/** Against a child that hangs; nothing here takes nearly as long. */
const LIMIT_MS = 60_000

/** [{ scenario, contender, happened, verdict }]; `verdict` is 'failed' where nothing could be shown. */
export async function runAll({ scenarios, contenders, port, tell }) {
  const { Redis } = await import('ioredis')
  const redis = new Redis({ host: '127.0.0.1', port })
  const pairs = scenarios.flatMap((scenario) => contenders.map((contender) => ({ scenario, contender })))
  const rows = []
  try {
    for (const { scenario, contender } of pairs) {
      if (!scenario.needs.every((need) => contender.can.includes(need))) continue
      await redis.flushall()
      const child = (part, message = {}) =>
        ask(
          '../rivals/child.mjs',
          { ...message, scenarioId: scenario.id, contenderId: contender.id, part, port },
          { limitMs: LIMIT_MS },
        )
      const shown = await scenario.show({ contender, child, redis }).catch((error) => ({
        happened: error.message,
        verdict: 'failed',
      }))
      tell(`${scenario.id}, ${contender.label}: ${shown.verdict}: ${shown.happened}`)
      rows.push({ scenario, contender, ...shown })
    }
  } finally {
    redis.disconnect()
  }
  return rows
}

// Commands that would break a shared connection, or reach beyond the prefix, are refused unsent.
import { describe, expect, it } from 'vitest'
import { onStore } from '../cache/stores'

const refused = [
  ['SUBSCRIBE', 'channel'], ['PSUBSCRIBE', '*'], ['SSUBSCRIBE', 'channel'], ['UNSUBSCRIBE'], ['MONITOR'], ['SELECT', '1'], ['AUTH', 'x'],
  ['HELLO', '2'], ['QUIT'], ['RESET'], ['CLIENT', 'REPLY', 'OFF'], ['MULTI'], ['EXEC'], ['DISCARD'], ['WATCH', 'key'],
  ['KEYS', '*'], ['FLUSHALL'], ['FLUSHDB'], ['SWAPDB', '0', '1'], ['SHUTDOWN'], ['DEBUG', 'SLEEP', '0'], ['NOSUCHCOMMAND', 'key'],
]

describe('refused commands', () => {
  const { holdfast, outside, keyPrefix } = onStore('redis')
  const { redisClient } = holdfast
  const client = redisClient.getClient()

  it.each(refused)('%s is refused, and the connection goes on', async (command, ...args) => {
    await client.call('SET', 'sentinel', 'safe')
    const failure: unknown = await client.call(command!, ...args).catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'HoldfastError', code: 'E_UNSUPPORTED', applied: 'no' })
    expect((failure as Error).message).toContain(command)
    expect(await redisClient.execute(command!.toLowerCase(), ...args)).toBeNull()
    expect(await client.call('GET', 'sentinel')).toBe('safe')
    expect(await outside().call('GET', `${keyPrefix}sentinel`)).toBe('safe')
  })
})

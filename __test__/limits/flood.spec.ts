// A million clients, each of whom comes once, take little memory, and set nobody free who is refused.
import { expect, it } from 'vitest'
import { clean, start } from '../boundary/child'
import { onOwnServer } from '../cache/stores'

const { server } = onOwnServer()
const MOST_MB = 64

it.each([
  ['in memory', () => 'memory:'],
  ['on Redis', () => server().url],
  ['while Redis is away', () => 'redis://127.0.0.1:1'],
])('a million keys %s take no more than 64 MB', { timeout: 120_000 }, async (_, url) => {
  const flood = start(new URL('children/floods.mjs', import.meta.url), { node: ['--expose-gc'], args: [url(), '1000000'], hungMs: 110_000 })
  const ended = await flood.ended
  expect({ ...ended, stdout: '' }).toEqual({ ...clean, stdout: '' })
  const { most } = JSON.parse(ended.stdout.split('\n').at(-1) ?? '') as { most: number }
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(MOST_MB)
})

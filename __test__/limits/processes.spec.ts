// Several processes on one Redis have one quota, however hard they ask.
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clean, start } from '../boundary/child'
import { range } from '../boundary/inside'
import { onOwnServer } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { counting, fresh, HOUR_MS, type Limiter, type LimiterOptions } from './limiters'

const PROCESSES = 4
/** By so much the server's clock, which may be corrected, and the one of the processes may differ over a window. */
const CLOCKS_MS = 5

const { server, outside, open } = onOwnServer()

type Call = [asked: number, answered: number]

interface Said {
  allowed: Call[]
  refused: number
  sources: string[]
}

/** Lets processes hammer one key, and hands over what they said while they are still there. */
async function hammered(options: LimiterOptions, forMs: number, judge: (said: Said[], limiter: Limiter) => Promise<void> | void): Promise<void> {
  const keyPrefix = `hammered:${randomUUID()}:`
  const args = [server().url, keyPrefix, JSON.stringify(options), '8', String(forMs)]
  const processes = range(PROCESSES).map(() => start(new URL('children/hammers.mjs', import.meta.url), { args }))
  const push = (list: string) => outside().call('RPUSH', `${keyPrefix}${list}`, ...range(PROCESSES).map(() => 'word'))
  // Their output is whole when they have ended; they end when they are told to.
  const lines = processes.map(async ({ process: { stdout }, printed }) => {
    let text = ''
    stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await printed('done')
    return await waitFor('what it said', () => /^said (.*)$/m.exec(text)?.[1])
  })
  await Promise.all(processes.map((each) => each.printed('ready')))
  await push('go')
  const said = (await Promise.all(lines)).map((line) => JSON.parse(line) as Said)
  // Redis was there all the time.
  expect(said.flatMap(({ sources }) => sources)).not.toContain('local')
  await judge(said, open({ keyPrefix }).createRateLimiter(options))
  await push('end')
  for (const { ended } of processes) {
    const { stdout: _, ...ending } = await ended
    expect(ending).toEqual(clean)
  }
}

const sumOf = (said: readonly Said[]): number => said.reduce((sum, { allowed }) => sum + allowed.length, 0)

/** The most calls that lie in one span of this length for certain: asked and answered within it. */
function mostIn(said: readonly Said[], spanMs: number): number {
  const calls = said.flatMap(({ allowed }) => allowed).sort(([a], [b]) => a - b)
  const longest = Math.max(...calls.map(([asked, answered]) => answered - asked))
  let most = 0
  let after = 0
  for (const [first, [begin]] of calls.entries()) {
    const end = begin + spanMs
    while (after < calls.length && calls[after]![0] <= end) after++
    // Of those that were asked in it, without those that were answered after it.
    let within = after - first
    for (let n = after - 1; n >= first && calls[n]![0] >= end - longest; n--) if (calls[n]![1] > end) within--
    most = Math.max(most, within)
  }
  return most
}

describe('the count of calls in a span', () => {
  it('counts those that lie in it for certain', () => {
    const said = (allowed: Call[]): Said[] => [{ allowed, refused: 0, sources: [] }]
    expect(mostIn(said([[0, 1], [5, 6], [9, 10]]), 10)).toBe(3)
    expect(mostIn(said([[0, 1], [5, 6], [9, 11]]), 10)).toBe(2)
    expect(mostIn(said([[0, 1], [5, 6], [15, 16], [16, 17], [17, 18]]), 10)).toBe(3)
    expect(mostIn(said([[0, 100], [50, 51]]), 10)).toBe(1)
    expect(mostIn(said([[0, 9], [1, 20], [2, 3]]), 10)).toBe(2)
  })
})

describe('one key that four processes hammer', () => {
  it.each(counting.flatMap((algorithm) => [1, 5, 32].map((limit) => [algorithm, limit] as const)))('a %s of %i allows them exactly that', async (algorithm, limit) => {
    await hammered({ name: fresh('exact'), maxRequests: limit, windowMs: HOUR_MS, algorithm }, 150, async (said, limiter) => {
      expect(sumOf(said)).toBe(limit)
      expect(said.every(({ refused }) => refused > 0)).toBe(true)
      expect((await limiter.status('key')).remaining).toBe(0)
    })
  })

  it.each(counting)('a %s of 500 never allows them more, and loses nothing', async (algorithm) => {
    await hammered({ name: fresh('large'), maxRequests: 500, windowMs: HOUR_MS, algorithm }, 800, async (said, limiter) => {
      const sum = sumOf(said)
      expect(sum).toBeLessThanOrEqual(500)
      expect(said.every(({ refused }) => refused > 0)).toBe(true)
      // What was taken ahead and not used comes back.
      await waitFor(`the rest of ${sum} to be there`, async () => (await limiter.status('key')).remaining === 500 - sum)
    })
  })

  it('of which they use little loses nothing either', async () => {
    await hammered({ name: fresh('huge'), maxRequests: 10_000_000, windowMs: HOUR_MS }, 400, async (said, limiter) => {
      const sum = sumOf(said)
      expect(sum).toBeGreaterThan(100)
      expect(said.every(({ refused }) => refused === 0)).toBe(true)
      await waitFor(`the rest of ${sum} to be there`, async () => (await limiter.status('key')).remaining === 10_000_000 - sum)
    })
  })

  it.each([[500, 300], [32, 100], [40, 100], [5_000, 250]])('a sliding window of %i in %i ms holds in any span that long', async (limit, windowMs) => {
    await hammered({ name: fresh('sliding'), maxRequests: limit, windowMs }, 2_000, (said) => {
      expect(mostIn(said, windowMs - CLOCKS_MS)).toBeLessThanOrEqual(limit)
      // More than one window's worth was let through: it comes free again.
      expect(sumOf(said)).toBeGreaterThan(limit)
    })
  })

  it.each([['fixed-window', 500, 300], ['fixed-window', 20, 100], ['token-bucket', 500, 300]] as const)('a %s of %i in %i ms lets no more than twice that through in any span that long', async (algorithm, limit, windowMs) => {
    await hammered({ name: fresh('fixed'), maxRequests: limit, windowMs, algorithm }, 2_000, (said) => {
      expect(mostIn(said, windowMs - CLOCKS_MS)).toBeLessThanOrEqual(2 * limit)
      expect(sumOf(said)).toBeGreaterThan(limit)
      const calls = said.flatMap(({ allowed }) => allowed)
      const lasted = Math.max(...calls.map(([, answered]) => answered)) - Math.min(...calls.map(([asked]) => asked))
      expect(sumOf(said)).toBeLessThanOrEqual(limit * (Math.ceil((lasted + CLOCKS_MS) / windowMs) + 1))
    })
  })

  it('several limits hold together', async () => {
    const limits = [
      { name: 'sliding', limit: 200, window: '1h' as const },
      { name: 'fixed', limit: 400, window: '1h' as const, algorithm: 'fixed-window' as const },
      { name: 'exact', limit: 150, window: '1h' as const, algorithm: 'token-bucket' as const },
    ]
    await hammered({ name: fresh('together'), limits }, 500, async (said, limiter) => {
      expect(sumOf(said)).toBe(150)
      expect((await limiter.status('key')).limits.map(({ remaining }) => remaining)).toEqual([50, 250, 0])
    })
  })
})

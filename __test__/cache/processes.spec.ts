// Several processes: one loads for all, none is held up for long by one that died, and each sees what others write.
import { randomUUID } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { clean, start, type Child } from '../boundary/child'
import { apart } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { makeStale, type Cache } from './loads'
import { asAnother, gate, onOwnServer } from './stores'

const { server, outside, open } = onOwnServer()

/** A name for a test's keys, and what its processes are told by. */
function scene() {
  const keyPrefix = `processes:${randomUUID()}:`
  const push = (list: string, count: number, word = 'word') => outside().call('RPUSH', `${keyPrefix}${list}`, ...Array.from({ length: count }, () => word))
  return {
    cache: open({ keyPrefix }).cacheManager,
    /** With a connection, copies and leases of its own, as another process has. */
    other: open({ keyPrefix, ...asAnother }).cacheManager,
    loads: (how: string, callers = 1, options: object = {}) =>
      start(new URL('children/loads.mjs', import.meta.url), { args: [server().url, keyPrefix, 'key', String(callers), how, JSON.stringify(options)] }),
    /** Lets so many processes begin. */
    go: (processes: number) => push('go', processes),
    answer: (word: string) => push('answer', 1, word),
    runs: async () => Number(await outside().call('GET', `${keyPrefix}runs`)),
    reads: (last: number) => start(new URL('children/reads.mjs', import.meta.url), { args: [server().url, keyPrefix, String(last)] }),
  }
}

/** What a process that loads said last. */
async function answersOf({ ended }: Child): Promise<string> {
  const { stdout, ...ending } = await ended
  expect(ending).toEqual(clean)
  return /answers (.*)/.exec(stdout)?.[1] ?? stdout
}

describe('a cold key', () => {
  it('is loaded once by four processes in which fifty ask at once, and all get the same', async () => {
    const { loads, go, answer, runs, cache } = scene()
    const processes = Array.from({ length: 4 }, () => loads('answer', 50))
    await Promise.all(processes.map((process) => process.printed('ready')))
    await go(4)
    await waitFor('a loader to run', async () => (await runs()) > 0)
    await answer('loaded')
    const said = await Promise.all(processes.map(answersOf))
    expect(said).toEqual(said.map(() => JSON.stringify({ run: 1, value: 'loaded' })))
    expect(await runs()).toBe(1)
    expect(await cache.get('key')).toEqual({ run: 1, value: 'loaded' })
  })

  it('whose loader fails in one process is loaded by the next one, which does not wait for long', async () => {
    const { loads, go, runs, cache } = scene()
    const failing = loads('fail', 50)
    await failing.printed('ready')
    await go(1)
    expect(await answersOf(failing)).toBe(JSON.stringify({ error: 'the database is gone' }))
    const loader = vi.fn(async () => 'ours')
    // Had the lease not been given back, this would wait for its end, 10 s.
    expect(await cache.getOrSet('key', loader, { hardTimeoutMs: 5_000 })).toBe('ours')
    expect([loader.mock.calls.length, await runs()]).toEqual([1, 1])
  })

  it('that is deleted by one process while another one loads it does not get what was loaded before', async () => {
    const { loads, go, answer, cache } = scene()
    const loading = loads('answer')
    await loading.printed('ready')
    await go(1)
    await loading.printed('loading')
    await cache.delete('key')
    // Who asks from now on loads by himself.
    expect(await cache.getOrSet('key', async () => 'new', { hardTimeoutMs: 5_000 })).toBe('new')
    await answer('old')
    expect(await answersOf(loading)).toContain('old')
    expect(await cache.get('key', { skipL1: true })).toBe('new')
  })

  it('that another process loads is loaded beside it by who waits no longer than lockTimeoutMs', async () => {
    const { loads, go, answer, cache } = scene()
    const loading = loads('answer')
    await loading.printed('ready')
    await go(1)
    await loading.printed('loading')
    expect(await cache.getOrSet('key', async () => 'ours', { lockTimeoutMs: 20 })).toBe('ours')
    expect(await cache.get('key')).toBe('ours')
    await answer('theirs')
    expect(await answersOf(loading)).toContain('theirs')
  })

  it('that another process loads for too long is an E_TIMEOUT after hardTimeoutMs', async () => {
    const { loads, go, answer, cache } = scene()
    const loading = loads('answer')
    await loading.printed('ready')
    await go(1)
    await loading.printed('loading')
    const loader = vi.fn(async () => 'ours')
    await expect(cache.getOrSet('key', loader, { hardTimeoutMs: 50 })).rejects.toMatchObject({ code: 'E_TIMEOUT' })
    expect(loader).not.toHaveBeenCalled()
    const waiting = cache.getOrSet('key', loader)
    await answer('theirs')
    expect(await waiting).toEqual({ run: 1, value: 'theirs' })
    expect(await answersOf(loading)).toContain('theirs')
  })
})

describe('while a loader runs, what another process', () => {
  const changes: [string, (cache: Cache, key: string) => Promise<unknown>][] = [
    ['deletes', (cache, key) => cache.delete(key)],
    ['expires', (cache, key) => cache.expire(key)],
    ['deletes by a tag', (cache, key) => cache.deleteByTag(`of ${key}`)],
    ['expires by a tag', (cache, key) => cache.expireByTag(`of ${key}`)],
    ['deletes by a pattern', (cache, key) => cache.deletePattern(`${key.slice(0, -1)}*`)],
    ['clears', (cache) => cache.clear()],
  ]

  it.each(changes.flatMap(([name, change]) => [[name, 'cold', change], [name, 'stale', change]] as const))(
    '%s is not covered by what was loaded before: a %s key',
    async (name, was, change) => {
      const { cache, other } = scene()
      const key = `${name} ${was}`
      const options = { tags: [`of ${key}`], grace: 60 }
      if (was === 'stale') await makeStale(cache, key, 'old', options)
      const [started, answer] = [gate(), gate<string>()]
      const loading = cache.getOrSet(key, () => (started.open(), answer.opened), options)
      await started.opened
      await change(other, key)
      answer.open('loaded before')
      expect(await loading).toBe('loaded before')
      for (const who of [cache, other]) expect(await who.get(key, { skipL1: true })).toBeNull()
      expect(await other.getOrSet(key, async () => 'new', options)).toBe('new')
      await waitFor('the new value', async () => (await cache.get(key)) === 'new')
    },
  )

  it('clears of a namespace is not covered by what was loaded before', async () => {
    const { cache, other } = scene()
    const space = cache.namespace('outer').namespace('inner')
    const [started, answer] = [gate(), gate<string>()]
    const loading = space.getOrSet('key', () => (started.open(), answer.opened))
    await started.opened
    await other.namespace('outer').clear()
    answer.open('loaded before')
    expect(await loading).toBe('loaded before')
    expect(await space.get('key', { skipL1: true })).toBeNull()
  })

  it('sets stays', async () => {
    const { cache, other } = scene()
    const [started, answer] = [gate(), gate<string>()]
    const loading = cache.getOrSet('key', () => (started.open(), answer.opened))
    await started.opened
    await other.set('key', 'set meanwhile')
    answer.open('loaded before')
    expect(await loading).toBe('loaded before')
    for (const who of [cache, other]) expect(await who.get('key', { skipL1: true })).toBe('set meanwhile')
  })
})

describe('what one process has written with a tag that was invalidated a moment ago', () => {
  it.each<[string, (cache: Cache) => Promise<unknown>]>([
    ['clears', (cache) => cache.clear()],
    ['deletes by a pattern', (cache) => cache.deletePattern('k*')],
    ['deletes', (cache) => cache.delete('key')],
    ['expires', (cache) => cache.expire('key')],
    ['deletes by its tag', (cache) => cache.deleteByTag('tag')],
    ['expires by its tag', (cache) => cache.expireByTag('tag')],
  ])('is gone when another one %s', async (_, change) => {
    const { cache, other } = scene()
    await Promise.all([cache.set('connected', 1), other.set('connected', 1)])
    await other.deleteByTag('tag')
    await cache.set('key', 'value', { tags: ['tag'] })
    await change(other)
    for (const who of [cache, other]) expect(await who.get('key', { skipL1: true })).toBeNull()
  })
})

describe('an old value', () => {
  it('serves at once where another process loads the new one', async () => {
    const { loads, go, answer, runs, cache } = scene()
    await cache.set('key', 'old', { ttl: 0.02, grace: 60 })
    await waitFor('it to be stale', async () => !(await cache.exists('key')))
    const loading = loads('answer', 50, { grace: 60 })
    await loading.printed('ready')
    await go(1)
    await loading.printed('loading')
    const loader = vi.fn(async () => 'ours')
    expect(await cache.getOrSet('key', loader, { grace: 60 })).toBe('old')
    expect(loader).not.toHaveBeenCalled()
    await answer('new')
    expect(await answersOf(loading)).toBe(JSON.stringify({ run: 1, value: 'new' }))
    await waitFor('the new value', async () => JSON.stringify(await cache.getOrSet('key', loader, { grace: 60 })) === JSON.stringify({ run: 1, value: 'new' }))
    expect([loader.mock.calls.length, await runs()]).toEqual([0, 1])
  })
})

// Side by side: most of it is waiting.
describe.concurrent('the lease of a load, of 10 s,', () => {
  it('holds up nobody much beyond its end when its process is killed', async () => {
    const { loads, go, runs, cache } = scene()
    const killed = loads('never')
    await killed.printed('ready')
    await go(1)
    await killed.printed('loading')
    const loader = vi.fn(async () => 'ours')
    const waiting = Promise.all(Array.from({ length: 50 }, () => cache.getOrSet('key', loader)))
    await apart()
    expect(loader).not.toHaveBeenCalled()
    killed.process.kill('SIGKILL')
    expect((await killed.ended).signal).toBe('SIGKILL')
    const began = performance.now()
    expect(new Set(await waiting)).toEqual(new Set(['ours']))
    // A bound against hanging.
    expect(performance.now() - began).toBeLessThan(20_000)
    expect([loader.mock.calls.length, await runs()]).toEqual([1, 1])
    expect(await cache.get('key')).toBe('ours')
  }, 60_000)

  it('is kept for as long as its loader runs: others wait, and get what it brings', async () => {
    const { loads, go, runs, cache } = scene()
    const loading = loads('13000')
    await loading.printed('ready')
    await go(1)
    await loading.printed('loading')
    const loader = vi.fn(async () => 'ours')
    expect(await cache.getOrSet('key', loader)).toEqual({ run: 1, value: 'after 13000 ms' })
    expect(await answersOf(loading)).toContain('after 13000 ms')
    expect([loader.mock.calls.length, await runs()]).toEqual([0, 1])
  }, 60_000)
})

describe('what one process writes', () => {
  it('is seen by the others, though they read from copies, and never do they go back', async () => {
    const { reads, cache } = scene()
    const last = 2_000
    await cache.set('counter', 0)
    const readers = [reads(last), reads(last)]
    await Promise.all(readers.map((reader) => reader.printed('reading')))
    for (let n = 1; n <= last; n++) {
      await cache.set('counter', n)
      // Pauses in which copies are made.
      if (n % 100 === 0) await apart(20)
    }
    await Promise.all(readers.map((reader) => reader.printed(JSON.stringify({ wrong: [], fromCopies: true, fromRedis: true }))))
    await cache.delete('counter')
    for (const { ended } of readers) {
      const { stdout, ...ending } = await ended
      expect(ending).toEqual(clean)
      expect(stdout).toContain('deleted')
    }
  })
})

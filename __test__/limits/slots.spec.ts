// Slots: no more than so many at the same time, each given back, or lost with whoever held it.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, gate, onStore, stores } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { fresh, from, left, limiterOf, namesOf, newAddress, type Limiter } from './limiters'

const slots = { algorithm: 'concurrency' } as const

describe.each(stores)('slots on %s', (store) => {
  const { holdfast, open, keyPrefix, outside } = onStore(store)
  const limit = (count: number): Limiter => holdfast.createRateLimiter({ name: fresh('slots'), limits: [{ name: 'running', limit: count, ...slots }] })

  it('are as many as the limit says, and each that is given back is free at once', async () => {
    const limiter = limit(3)
    const held = await Promise.all(range(5).map(() => limiter.reserve('key')))
    expect(held.filter(({ success }) => success)).toHaveLength(3)
    expect(held.filter(({ id }) => id === null)).toHaveLength(2)
    expect(await left(limiter, 'key')).toEqual([0])
    const mine = held.filter(({ success }) => success)
    expect(await mine[0]?.release()).toBe(true)
    expect(await limiter.reserve('key')).toMatchObject({ success: true, remaining: 0 })
    expect(await limiter.reserve('key')).toMatchObject({ success: false, reason: 'limited' })
    // Committed it is given back as well, whatever it came to.
    expect(await mine[1]?.commit(500)).toBe(true)
    expect(await left(limiter, 'key')).toEqual([1])
  })

  it('are held by wrap for as long as the answer streams: to its end, or until nobody wants it, or it breaks off', async () => {
    const limiter = limit(1)
    const free = (): Promise<number[]> => left(limiter, address)
    const address = newAddress()
    const ends: ((body: ReadableStreamDefaultController<Uint8Array>, reader: ReadableStreamDefaultReader<Uint8Array>) => unknown)[] = [
      (body) => body.close(),
      (_, reader) => reader.cancel(),
      (body) => body.error(new Error('broken off')),
    ]
    for (const end of ends) {
      let body!: ReadableStreamDefaultController<Uint8Array>
      const wrapped = limiter.wrap(() => new Response(new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller) })))
      const response = await wrapped(from(address))
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      body.enqueue(new Uint8Array([1]))
      expect((await reader.read()).value).toEqual(new Uint8Array([1]))
      expect(await free()).toEqual([0])
      expect((await wrapped(from(address))).status).toBe(429)
      await end(body, reader)
      await reader.read().catch(() => {})
      await waitFor('the slot to be free', async () => (await free())[0] === 1)
    }
    // Of what is whole already nobody has to read anything.
    for (const body of [null, 'text', new Uint8Array(100_000)]) {
      expect((await limiter.wrap(() => new Response(body))(from(address))).status).toBe(200)
      await waitFor('the slot to be free', async () => (await free())[0] === 1)
    }
    // Of an answer that can't be given on nothing stays.
    const used = async (): Promise<Response> => {
      const response = Response.json({})
      await response.text()
      return response
    }
    await expect(limiter.wrap(used)(from(address))).rejects.toThrow(TypeError)
    expect(await free()).toEqual([1])
    const endless = (): Response => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)) }))
    expect((await limiter.wrap(endless)(new Request(from(address), { method: 'HEAD' }))).status).toBe(200)
    expect(await free()).toEqual([1])
    const client = new AbortController()
    expect((await limiter.wrap(endless)(new Request(from(address), { signal: client.signal }))).status).toBe(200)
    expect(await free()).toEqual([0])
    client.abort()
    await waitFor('the slot to be free', async () => (await free())[0] === 1)
    // Who went before there was an answer is told of nothing any more.
    const early = new AbortController()
    const slow = limiter.wrap(() => {
      early.abort()
      return endless()
    })
    expect((await slow(new Request(from(address), { signal: early.signal }))).status).toBe(200)
    await waitFor('the slot to be free', async () => (await free())[0] === 1)
  })

  it('are one for each who holds, whatever he estimates', async () => {
    const limiter = limit(2)
    expect(await limiter.reserve('key', { estimate: 500 })).toMatchObject({ success: true, remaining: 1 })
    expect(await limiter.reserve('key', { estimate: 500 })).toMatchObject({ success: true, remaining: 0 })
    expect(await limiter.reserve('key', { estimate: 500 })).toMatchObject({ success: false, reason: 'limited' })
  })

  it('are not taken by a check, which could not give them back: it is refused', async () => {
    const limiter = limit(1)
    for (const call of [() => limiter.check('key'), () => limiter(from('203.0.113.7')), () => limiter.consume(from('203.0.113.7'))])
      await expect(call()).rejects.toMatchObject({ name: 'HoldfastError', code: 'E_INVALID', message: expect.stringContaining('reserve()') as string })
    expect([await left(limiter, 'key'), await left(limiter, '203.0.113.7')]).toEqual([[1], [1]])
  })

  it('are taken by wrap for as long as its handler runs', async () => {
    const limiter = limit(1)
    const address = newAddress()
    const [started, answer] = [gate(), gate()]
    const wrapped = limiter.wrap(async () => (started.open(), await answer.opened, new Response('handled')))
    const first = wrapped(from(address))
    await started.opened
    expect(await left(limiter, address)).toEqual([0])
    expect((await wrapped(from(address))).status).toBe(429)
    answer.open()
    expect(await (await first).text()).toBe('handled')
    expect(await left(limiter, address)).toEqual([1])
    const failing = limiter.wrap(() => { throw new Error('of the handler') })
    await expect(async () => failing(from(address))).rejects.toThrow('of the handler')
    expect(await left(limiter, address)).toEqual([1])
  })

  it('are held for as long as the limit says, where the call says nothing', async () => {
    const limiter = holdfast.createRateLimiter({ name: fresh('slots'), limits: [{ name: 'running', limit: 1, window: 120, ...slots }] })
    await limiter.reserve('key')
    const { limits: [state] } = await limiter.status('key')
    expect(state?.resetMs).toBeGreaterThan(60_000)
    expect(state?.resetMs).toBeLessThanOrEqual(120_000)
  })

  it('never are more than the limit while many take them and give them back', async () => {
    const limiter = limit(4)
    let running = 0
    let most = 0
    let done = 0
    const worker = async (): Promise<void> => {
      for (const _ of range(20)) {
        const slot = await waitFor('a slot', async () => {
          const taken = await limiter.reserve('key')
          return taken.success ? taken : null
        })
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        done++
        await slot.release()
      }
    }
    await Promise.all(range(12).map(worker))
    expect([most, done]).toEqual([4, 240])
    expect(await left(limiter, 'key')).toEqual([4])
  })

  it('stand beside tokens: both are held together, or neither', async () => {
    const limiter = holdfast.createRateLimiter({
      name: fresh('model'),
      limits: [
        { name: 'running', limit: 2, ...slots },
        { name: 'tokens', limit: 1_000, window: '1h' },
      ],
    })
    const one = await limiter.reserve('key', { estimate: { tokens: 600 } })
    expect(one.limits.map(({ remaining }) => remaining)).toEqual([1, 400])
    // No tokens: no slot either.
    expect(await limiter.reserve('key', { estimate: { tokens: 600 } })).toMatchObject({ success: false })
    expect(await left(limiter, 'key')).toEqual([1, 400])
    const two = await limiter.reserve('key', { estimate: { tokens: 100 } })
    // No slot: no tokens either.
    expect(await limiter.reserve('key', { estimate: { tokens: 100 } })).toMatchObject({ success: false })
    expect(await left(limiter, 'key')).toEqual([0, 300])
    await one.commit({ tokens: 200 })
    await two.release()
    expect(await left(limiter, 'key')).toEqual([2, 800])
    expect(await limiter.reserve('key', { estimate: { tokens: 1_001 } })).toMatchObject({ reason: 'too-large' })
  })

  it('are given back by any instance that knows the id', async () => {
    const options = { name: fresh('elsewhere'), limits: [{ name: 'running', limit: 1, ...slots }] }
    const other = open(store === 'redis' ? asAnother : {}).createRateLimiter(options)
    const slot = await holdfast.createRateLimiter(options).reserve('key')
    expect(await other.reserve('key')).toMatchObject({ success: false })
    expect(await other.release('key', slot.id ?? '')).toBe(true)
    expect(await other.reserve('key')).toMatchObject({ success: true })
    expect(await slot.release()).toBe(false)
    expect(await left(other, 'key')).toEqual([0])
  })

  it('that nobody gives back are renewed, and not for longer than maxHoldMs: then the signal aborts and they are free', async () => {
    const limiter = limit(1)
    const began = performance.now()
    const slot = await limiter.reserve('key', { leaseMs: 1_000, maxHoldMs: 2_500 })
    expect(slot.signal.aborted).toBe(false)
    await waitFor('the signal', () => slot.signal.aborted)
    const aborted = performance.now() - began
    expect(aborted).toBeGreaterThan(2_400)
    expect(slot.signal.reason).toBeInstanceOf(Error)
    await waitFor('the slot to be free', async () => (await left(limiter, 'key'))[0] === 1)
    expect(await slot.release()).toBe(false)
  })

  it('whose signal somebody listens to say so once, and not at all when they were given back', async () => {
    const limiter = limit(2)
    const [lost, released] = await Promise.all(range(2).map(() => limiter.reserve('key', { leaseMs: 1_000, maxHoldMs: 1_000 })))
    const heard: string[] = []
    lost?.signal.addEventListener('abort', () => heard.push('lost'))
    released?.signal.addEventListener('abort', () => heard.push('released'))
    await released?.release()
    await waitFor('the signal', () => lost?.signal.aborted)
    await waitFor('both slots to be free', async () => (await left(limiter, 'key'))[0] === 2)
    expect(heard).toEqual(['lost'])
    expect(released?.signal.aborted).toBe(false)
  })

  if (store === 'redis') it('that the server lost and another one has taken are lost: the signal aborts', async () => {
    const limiter = limiterOf(holdfast, 1, slots)
    const slot = await limiter.reserve('key', { leaseMs: 1_000 })
    const other = open(asAnother).createRateLimiter({ name: limiter.limiterName, maxRequests: 1, windowMs: 3_600_000, ...slots })
    const name = (await namesOf(outside(), keyPrefix)).find((each) => each.includes(limiter.limiterName))
    const theirs = await waitFor('the other one to be quicker than a renewal', async () => {
      await outside().call('DEL', name ?? '')
      const taken = await other.reserve('key', { leaseMs: 60_000 })
      return taken.success ? taken : null
    })
    await waitFor('the signal', () => slot.signal.aborted)
    expect(await slot.release()).toBe(false)
    expect(await theirs.release()).toBe(true)
  })

  if (store === 'redis') it('that the server lost are taken again by a renewal where nobody else has them', async () => {
    const limiter = limit(1)
    const slot = await limiter.reserve('key', { leaseMs: 1_000 })
    const name = (await namesOf(outside(), keyPrefix)).find((each) => each.includes(limiter.limiterName))
    expect(await outside().call('DEL', name ?? '')).toBe(1)
    await waitFor('the renewal', async () => (await outside().call('EXISTS', name ?? '')) === 1)
    expect(await left(limiter, 'key')).toEqual([0])
    expect(slot.signal.aborted).toBe(false)
    expect(await slot.release()).toBe(true)
  })
})

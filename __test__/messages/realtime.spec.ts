// What chat apps tell each other, under the seed's names; and who is present.
import { describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { asAnother, onStore, stores } from '../cache/stores'
import { Scene } from '../fault/outage'
import { waitFor } from '../support/wait-for'
import { fresh, hears } from './messages'

describe.concurrent.each(stores)('RealTimeManager on %s', (store) => {
  const { holdfast, open, outside, keyPrefix } = onStore(store)
  const { pubSubManager, RealTimeManager } = holdfast

  it('tells answers of models, and keeps them', async () => {
    const id = fresh('conversation')
    const heard = hears()
    await RealTimeManager.subscribeToAIResponses(id, heard.handler as never)
    await RealTimeManager.broadcastAIResponse(id, { text: 'hello' }, 'u1')
    await heard.until(1)
    expect(heard.messages[0]).toMatchObject({ channel: `ai:response:${id}`, userId: 'u1' })
    expect(heard.data()).toEqual([{ type: 'ai_response', conversationId: id, response: { text: 'hello' }, timestamp: expect.any(Number) }])
    expect((await pubSubManager.getPersistentMessages(`ai:response:${id}`)).map(({ data }) => data)).toEqual(heard.data())
  })

  it('tells who is typing, and keeps nothing of it', async () => {
    const id = fresh('conversation')
    const heard = hears()
    await RealTimeManager.subscribeToTyping(id, heard.handler as never)
    await RealTimeManager.broadcastTyping(id, 'u1', true)
    await RealTimeManager.broadcastTyping(id, 'u1', false)
    await heard.until(2)
    expect(heard.messages[0]).toMatchObject({ channel: `typing:${id}` })
    expect(heard.data()).toEqual([true, false].map((isTyping) => ({ type: 'typing', conversationId: id, userId: 'u1', isTyping, timestamp: expect.any(Number) as number })))
    expect(await pubSubManager.getPersistentMessages(`typing:${id}`)).toEqual([])
  })

  it('tells who is there, keeps it for five minutes, and notes it', async () => {
    const user = fresh('user')
    const room = fresh('room')
    const heard = hears()
    await RealTimeManager.subscribeToPresence(user, heard.handler as never)
    for (const status of ['online', 'away', 'offline'] as const) {
      await RealTimeManager.broadcastPresence(user, status, { room })
      expect(await RealTimeManager.getOnlineUsers(room)).toEqual(status === 'offline' ? [] : [{ userId: user, status }])
    }
    await heard.until(3)
    expect(heard.data()).toEqual(['online', 'away', 'offline'].map((status) => ({ type: 'presence', userId: user, status, timestamp: expect.any(Number) as number })))
    expect(await pubSubManager.getPersistentMessages(`presence:${user}`)).toHaveLength(3)
    if (store === 'memory') return
    const [stream] = (await outside().call('KEYS', `${keyPrefix}stream:presence:${user}`)) as string[]
    expect(await outside().call('PTTL', stream!)).toBeLessThanOrEqual(300_000)
  })

  it('notifies a user, and keeps it', async () => {
    const user = fresh('user')
    const heard = hears()
    await RealTimeManager.subscribeToNotifications(user, heard.handler as never)
    const notification = { id: 'n1', title: 'New', message: 'text', type: 'info', data: { a: 1 } }
    await RealTimeManager.broadcastNotification(user, notification)
    await heard.until(1)
    expect(heard.data()).toEqual([{ ...notification, timestamp: expect.any(Number) }])
    expect(heard.messages[0]).toMatchObject({ channel: `notifications:${user}`, userId: user })
    expect(await pubSubManager.getPersistentMessages(`notifications:${user}`)).toHaveLength(1)
  })

  it('notes who is in which room, in two processes', async () => {
    const room = fresh('room')
    const other = store === 'redis' ? open(asAnother).pubSubManager : pubSubManager
    await pubSubManager.setPresence(room, 'a', 'online')
    await other.setPresence(room, 'b', 'with: colons\nand lines, ä')
    await other.setPresence(fresh('elsewhere'), 'c', 'online')
    const byName = async (manager: typeof other): Promise<unknown> => (await manager.getPresence(room)).sort((one, two) => one.userId.localeCompare(two.userId))
    const both = [{ userId: 'a', status: 'online' }, { userId: 'b', status: 'with: colons\nand lines, ä' }]
    expect(await byName(pubSubManager)).toEqual(both)
    expect(await byName(other)).toEqual(both)
    await other.setPresence(room, 'a', null)
    await pubSubManager.setPresence(room, 'b', 'away')
    expect(await byName(pubSubManager)).toEqual([{ userId: 'b', status: 'away' }])
    await pubSubManager.setPresence(room, 'b', null)
    await pubSubManager.setPresence(room, 'b', null)
    expect(await pubSubManager.getPresence(room)).toEqual([])
    if (store === 'redis') expect(await outside().call('KEYS', `${keyPrefix}*${room}*`)).toEqual([])
  })

  it('lets go of those who are silent, each at its time, and of empty rooms', async () => {
    const room = fresh('room')
    await pubSubManager.setPresence(room, 'stays', 'online', '1h')
    await pubSubManager.setPresence(room, 'goes', 'online', 0.1)
    expect(await pubSubManager.getPresence(room)).toHaveLength(2)
    await waitFor('one to go', async () => (await pubSubManager.getPresence(room)).length === 1)
    const brief = fresh('room')
    await pubSubManager.setPresence(brief, 'goes', 'online', 0.1)
    await waitFor('it to go', async () => (await pubSubManager.getPresence(brief)).length === 0)
    if (store === 'redis') await waitFor('the room to go', async () => ((await outside().call('KEYS', `${keyPrefix}*${brief}*`)) as string[]).length === 0)
  })

  it('keeps a user present until the signal, and tells of the end', async () => {
    const [user, room] = [fresh('user'), fresh('room')]
    const heard = hears()
    await RealTimeManager.subscribeToPresence(user, heard.handler as never)
    const controller = new AbortController()
    await RealTimeManager.keepPresent(user, controller.signal, { room, ttl: 0.15 })
    const end = performance.now() + 600
    await waitFor('four lifetimes to pass', async () => {
      expect(await RealTimeManager.getOnlineUsers(room)).toEqual([{ userId: user, status: 'online' }])
      return performance.now() > end
    }).catch(async (error: unknown) => {
      throw new Error(`not present all the time: ${String(error)}`)
    })
    controller.abort()
    await waitFor('the user to have gone', async () => (await RealTimeManager.getOnlineUsers(room)).length === 0)
    await heard.until(2)
    expect(heard.data().map((data) => (data as { status: string }).status)).toEqual(['online', 'offline'])
  })

  it('does not keep a user present whose signal was aborted before', async () => {
    const room = fresh('room')
    await RealTimeManager.keepPresent('user', AbortSignal.abort(), { room })
    const controller = new AbortController()
    const kept = RealTimeManager.keepPresent('other', controller.signal, { room })
    controller.abort()
    await kept
    await waitFor('nobody to be there', async () => (await RealTimeManager.getOnlineUsers(room)).length === 0)
  })

  it.each([0, 30 * 86_400 * 12])('asks no more often than it must where a user is kept present for %i s', async (ttl) => {
    const own = open({ keyPrefix: `${keyPrefix}${ttl}:` })
    const { RealTimeManager: manager, pubSubManager: under } = own
    let asked = 0
    const set = under.setPresence.bind(under)
    under.setPresence = (...args) => {
      asked++
      return set(...args)
    }
    const controller = new AbortController()
    await manager.keepPresent('user', controller.signal, { ttl })
    const end = performance.now() + 300
    await waitFor('some time to pass', () => performance.now() > end)
    controller.abort()
    expect(asked).toBeLessThanOrEqual(2)
  })
})

describe('presence while Redis is away', () => {
  it('is what this process was told', async () => {
    await using scene = await Scene.start()
    const { pubSubManager } = scene.holdfast
    await pubSubManager.setPresence('room', 'before', 'online')
    await scene.proxy.set('refuse')
    await scene.degraded()
    for (const n of range(3)) await pubSubManager.setPresence('room', `during ${n}`, 'online')
    const during = (await pubSubManager.getPresence('room')).map(({ userId }) => userId)
    expect(during).toEqual(expect.arrayContaining(range(3).map((n) => `during ${n}`)))
    await scene.proxy.set('pass')
    await scene.healed()
    expect((await pubSubManager.getPresence('room')).map(({ userId }) => userId)).toContain('before')
  })
})

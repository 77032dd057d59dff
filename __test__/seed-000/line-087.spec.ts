// Seed 000, line 87: sessions. A guest's is made, changed and read.
import { describe, expect, it } from 'vitest'
import { sessionManager, createGuestSession } from '@/lib/cache'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 87, on %s', (store) => {
  const { keyPrefix, outside } = onStore(store)

  async function block() {
    // Create guest session
    const sessionId = await createGuestSession({ theme: 'dark' });

    // Update session data
    await sessionManager.updateSession(sessionId, { lastActivity: Date.now() });

    // Get session
    const session = await sessionManager.getSession(sessionId);
    return { sessionId, session }
  }

  it('keeps what a guest had and what was set', async () => {
    const before = Date.now()
    const { sessionId, session } = await block()
    expect(session).toMatchObject({ id: sessionId, isGuest: true, data: { theme: 'dark', type: 'guest' } })
    expect(session).not.toHaveProperty('userId')
    expect(session!.data['lastActivity']).toBeGreaterThanOrEqual(before)
    expect(session!.data['lastActivity']).toBeLessThanOrEqual(Date.now())
    expect(Math.abs(session!.expiresAt - session!.createdAt - 86_400_000)).toBeLessThan(20_000)
  })

  it('knows nothing of who comes with another id', async () => {
    const { sessionId } = await block()
    const other = sessionId.slice(0, -1) + (sessionId.endsWith('A') ? 'E' : 'A')
    expect(await sessionManager.getSession(other)).toBeNull()
    expect(await sessionManager.updateSession(other, { lastActivity: 0 })).toBe(false)
  })

  if (store === 'redis') it('keeps it in the session family for a day, and its id nowhere', async () => {
    const { sessionId, session } = await block()
    const keys = (await outside().call('KEYS', `${keyPrefix}session:*${session!.handle}`)) as string[]
    expect(keys).toHaveLength(1)
    const [ttl] = await outside().pipeline([['TTL', keys[0]!]])
    expect(ttl).toBeGreaterThan(86_390)
    expect(ttl).toBeLessThanOrEqual(86_400)
    const all = (await outside().call('KEYS', `${keyPrefix}*`)) as string[]
    expect(all.join()).not.toContain(sessionId.slice(-43))
  })
})

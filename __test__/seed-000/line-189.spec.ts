// Seed 000, line 189: the session manager. A user's session, and the helpers for guests.
import { describe, expect, it } from 'vitest'
import { sessionManager, GuestSessionManager } from '@/lib/cache/session-manager'
import { getSessionStats } from '@/lib/cache'
import { onStore, stores } from './store'

describe.each(stores)('seed 000, line 189, on %s', (store) => {
  onStore(store)
  const initialData = { theme: 'dark', roles: ['admin'] }

  it('makes a session of a user and one of a guest, and counts both', async () => {
    // Create authenticated session
    const sessionId = await sessionManager.createSession('user123', initialData);

    // Guest session helpers
    const guestId = await GuestSessionManager.createGuestSession();
    await GuestSessionManager.updateGuestSession(guestId, { preference: 'value' });

    expect(await sessionManager.getSession(sessionId)).toMatchObject({ userId: 'user123', isGuest: false, data: initialData })
    const guest = await GuestSessionManager.getGuestSession(guestId)
    expect(guest).toMatchObject({ id: guestId, isGuest: true })
    expect(guest?.data).toEqual({ type: 'guest', preference: 'value' })
    expect(await GuestSessionManager.getGuestSession(sessionId)).toBeNull()
    expect(await getSessionStats()).toEqual({ totalSessions: 2, activeSessions: 2, guestSessions: 1, authenticatedSessions: 1, backend: store })
    // User session management
    expect((await sessionManager.getUserSessions('user123')).map(({ data }) => data)).toEqual([initialData])
    expect(await sessionManager.invalidateUserSessions('user123')).toBe(1)
    expect(await sessionManager.getSession(sessionId)).toBeNull()
    expect(await getSessionStats()).toMatchObject({ totalSessions: 1, guestSessions: 1 })
  })

  it('makes of a guest a user, who keeps what the guest had', async () => {
    const guestId = await GuestSessionManager.createGuestSession({ cart: [1] })
    const sessionId = await GuestSessionManager.convertToAuthenticatedSession(guestId, 'user456')
    expect(await sessionManager.getSession(sessionId!)).toMatchObject({ userId: 'user456', isGuest: false, data: { cart: [1] } })
    expect(await sessionManager.getSession(guestId)).toBeNull()
  })
})

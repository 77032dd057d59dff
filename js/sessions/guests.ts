// Sessions of guests, under the seed's names.

import { lifetimeMs } from '../durations.js'
import { changesOf } from './changes.js'
import type { SessionData, SessionManager } from './manager.js'
import type { SessionFields } from './options.js'

/** Sessions of guests: what belongs to a user is not there for them. */
export interface GuestSessions {
  /** Makes one, whose data has `type: 'guest'`. `ttl`: seconds (default: 86400). Resolves to its id. */
  createGuestSession(initialData?: SessionFields, ttl?: number): Promise<string>
  /** One by its id; null: there is none, or it is a user's. */
  getGuestSession(sessionId: string): Promise<SessionData | null>
  /** Sets fields of its data. False: there is none, or it is a user's. */
  updateGuestSession(sessionId: string, data: SessionFields): Promise<boolean>
  /**
   * Makes it a user's, with its data, under a new id; the old one is worth nothing from then on. Resolves to the new id;
   * null: there is none, or it is a user's already.
   */
  convertToAuthenticatedSession(sessionId: string, userId: string): Promise<string | null>
}

export function guestSessionsOf(manager: SessionManager): GuestSessions {
  const getGuestSession = async (sessionId: string): Promise<SessionData | null> => {
    const session = await manager.getSession(sessionId)
    return session?.isGuest === true ? session : null
  }
  return {
    async createGuestSession(initialData = {}, ttl) {
      const operation = 'GuestSessionManager.createGuestSession'
      // Refused under the names that they have here.
      changesOf(initialData, 'initialData', operation)
      lifetimeMs(ttl, 0, 'ttl', operation)
      return await manager.createSession(null, { ...initialData, type: 'guest' }, ttl === undefined ? undefined : { ttl })
    },
    getGuestSession,
    async updateGuestSession(sessionId, data) {
      return (await getGuestSession(sessionId)) !== null && (await manager.updateSession(sessionId, data))
    },
    convertToAuthenticatedSession: (sessionId, userId) =>
      manager.convertGuest(sessionId, userId, 'GuestSessionManager.convertToAuthenticatedSession'),
  }
}

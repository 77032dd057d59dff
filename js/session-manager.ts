// `holdfast/session-manager`: the sessions of the shared instance.

import { root } from './root.js'
import type { GuestSessions } from './sessions/guests.js'
import type { SessionManager } from './sessions/manager.js'

/** Sessions: made, read, changed and ended. */
export const sessionManager: SessionManager = root.sessionManager

/** Sessions of guests. */
export const GuestSessionManager: GuestSessions = root.GuestSessionManager

/** Makes a session manager with options of its own. */
export const createSessionManager = root.createSessionManager

/** Makes a guest's session. Resolves to its id. */
export const createGuestSession = root.createGuestSession

/** A guest's session by its id; null: there is none. */
export const getGuestSession = root.getGuestSession

/** How many sessions there are. */
export const getSessionStats = root.getSessionStats

export type { Duration } from './durations.js'
export type { CookieOptions, CookieSource, CookieStore, CookieTarget, HeaderReader, SessionCookies } from './sessions/cookies.js'
export type { GuestSessions } from './sessions/guests.js'
export type { SessionData, SessionManager, SessionStats, SessionUpdate } from './sessions/manager.js'
export type { SessionFields, SessionManagerOptions, SessionOptions, SessionOutageMode } from './sessions/options.js'
export type { OpenOptions, RequestSession } from './sessions/request.js'

// What chat apps tell each other at once, under the seed's names.

import { lifetimeMs, type Duration } from '../durations.js'
import { flag, named } from '../checks.js'
import { describe, invalid } from '../errors.js'
import { AbortWait, signalOf, type Abortable } from './abort.js'
import { checkSignal, checkText } from './checks.js'
import type { PubSubManager, Present } from './manager.js'
import type { MessageHandler, Subscription } from './subscription.js'

/** A user's status. */
export type PresenceStatus = 'online' | 'offline' | 'away'

/** What is told of an answer of a model. */
export interface AIResponseEvent {
  type: 'ai_response'
  conversationId: string
  response: unknown
  timestamp: number
}

/** What is told of who is typing. */
export interface TypingEvent {
  type: 'typing'
  conversationId: string
  userId: string
  isTyping: boolean
  timestamp: number
}

/** What is told of who is there. */
export interface PresenceEvent {
  type: 'presence'
  userId: string
  status: PresenceStatus
  timestamp: number
}

/** What a user is notified of. */
export interface RealTimeNotification {
  id: string
  title: string
  message: string
  type: string
  data?: unknown
}

/** The same, as it is told. */
export interface NotificationEvent extends RealTimeNotification {
  timestamp: number
}

/** Where somebody is present. */
export interface PresenceOptions {
  /** Default: `'all'`. */
  room?: string | undefined
  /** For how long it counts if it is not said again: seconds, or `'5m'`. Default: 300. */
  ttl?: Duration | undefined
}

/** Messages of chat apps. */
export interface RealTime {
  /** Tells an answer of a model; persistent, for those who come back later. */
  broadcastAIResponse(conversationId: string, response: unknown, userId?: string): Promise<void>
  /** Hears the answers of a conversation. */
  subscribeToAIResponses(conversationId: string, handler: MessageHandler<AIResponseEvent>): Promise<Subscription<AIResponseEvent>>
  /** Tells whether somebody is typing. Of no use later, so that it does not wait for Redis. */
  broadcastTyping(conversationId: string, userId: string, isTyping: boolean): Promise<void>
  /** Hears who is typing in a conversation. */
  subscribeToTyping(conversationId: string, handler: MessageHandler<TypingEvent>): Promise<Subscription<TypingEvent>>
  /** Tells it, and notes it for `getOnlineUsers`. */
  broadcastPresence(userId: string, status: PresenceStatus, options?: PresenceOptions): Promise<void>
  /** Hears whether a user is there. */
  subscribeToPresence(userId: string, handler: MessageHandler<PresenceEvent>): Promise<Subscription<PresenceEvent>>
  /** Notifies a user; persistent. */
  broadcastNotification(userId: string, notification: RealTimeNotification): Promise<void>
  /** Hears what a user is notified of. */
  subscribeToNotifications(userId: string, handler: MessageHandler<NotificationEvent>): Promise<Subscription<NotificationEvent>>
  /** Who is there, and has not been silent for longer than said. */
  getOnlineUsers(room?: string): Promise<Present[]>
  /**
   * Keeps a user present until the request is aborted, and then tells that they have gone. A signal alone does too, as long
   * as its request is kept: Node does not abort the signal of one that was collected.
   */
  keepPresent(userId: string, request: Abortable, options?: PresenceOptions): Promise<void>
}

const PRESENCE_SECONDS = 300
const STATUSES: readonly string[] = ['online', 'offline', 'away']
const LONGEST_TIMER = 2 ** 31 - 1
const PRESENCE_NAMES: readonly string[] = ['room', 'ttl']

export function realTimeOf(manager: PubSubManager): RealTime {
  const present = new Map<string, number>()
  const kept = new Set<AbortWait>()
  const broadcastPresence = async (userId: string, status: PresenceStatus, options: PresenceOptions = {}): Promise<void> => {
    const operation = 'RealTimeManager.broadcastPresence'
    checkText(userId, 'userId', operation)
    const { room, ttl } = placeOfPresence(options, operation)
    if (!STATUSES.includes(status))
      throw invalid('status', `status is ${describe(status)}; allowed: 'online', 'offline' or 'away'`, operation)
    await Promise.all([
      manager.setPresence(room, userId, status === 'offline' ? null : status, ttl),
      manager.publish(`presence:${userId}`, { type: 'presence', userId, status, timestamp: Date.now() }, { persistent: true, ttl: PRESENCE_SECONDS }),
    ])
  }
  // Of whom nobody says who it is, nobody hears: a missing id would make one channel of all of theirs.
  const hear = async <Event>(name: string, topic: string, path: string, id: string, handler: MessageHandler<Event>): Promise<Subscription<Event>> => {
    checkText(id, path, `RealTimeManager.${name}`)
    return await manager.subscribe<Event>(`${topic}:${id}`, handler)
  }
  return {
    async broadcastAIResponse(conversationId, response, userId) {
      const operation = 'RealTimeManager.broadcastAIResponse'
      checkText(conversationId, 'conversationId', operation)
      if (userId !== undefined) checkText(userId, 'userId', operation)
      if (response === undefined) throw invalid('response', 'response is missing; allowed: what JSON can hold', operation)
      const data = { type: 'ai_response', conversationId, response, timestamp: Date.now() }
      await manager.publish(`ai:response:${conversationId}`, data, { persistent: true, userId })
    },
    subscribeToAIResponses: (conversationId, handler) =>
      hear('subscribeToAIResponses', 'ai:response', 'conversationId', conversationId, handler),
    async broadcastTyping(conversationId, userId, isTyping) {
      const operation = 'RealTimeManager.broadcastTyping'
      checkText(conversationId, 'conversationId', operation)
      checkText(userId, 'userId', operation)
      if (flag(isTyping, 'isTyping', operation) === undefined)
        throw invalid('isTyping', 'isTyping is missing; allowed: true or false', operation)
      const data = { type: 'typing', conversationId, userId, isTyping, timestamp: Date.now() }
      // Who was typing is of no use to anybody later.
      await manager.publish(`typing:${conversationId}`, data, { userId, buffer: false })
    },
    subscribeToTyping: (conversationId, handler) => hear('subscribeToTyping', 'typing', 'conversationId', conversationId, handler),
    broadcastPresence,
    subscribeToPresence: (userId, handler) => hear('subscribeToPresence', 'presence', 'userId', userId, handler),
    async broadcastNotification(userId, notification) {
      const operation = 'RealTimeManager.broadcastNotification'
      checkText(userId, 'userId', operation)
      if (typeof notification !== 'object' || notification === null || Array.isArray(notification))
        throw invalid('notification', `notification is ${describe(notification)}; allowed: an object`, operation)
      await manager.publish(`notifications:${userId}`, { ...notification, timestamp: Date.now() }, { persistent: true, userId })
    },
    subscribeToNotifications: (userId, handler) => hear('subscribeToNotifications', 'notifications', 'userId', userId, handler),
    async getOnlineUsers(room = 'all') {
      checkText(room, 'room', 'RealTimeManager.getOnlineUsers')
      return await manager.getPresence(room)
    },
    async keepPresent(userId, request, options = {}) {
      const operation = 'RealTimeManager.keepPresent'
      checkText(userId, 'userId', operation)
      const { room, ttl, ms } = placeOfPresence(options, operation)
      checkSignal(request, 'request', operation)
      if (signalOf(request).aborted) return
      const key = JSON.stringify([room, userId])
      // Somebody may be here several times.
      present.set(key, (present.get(key) ?? 0) + 1)
      const again = (): void => void manager.setPresence(room, userId, 'online', ttl).catch(ignore)
      const timer = setInterval(again, Math.min(ms / 3, LONGEST_TIMER))
      timer.unref()
      const wait = new AbortWait(request, () => {
        clearInterval(timer)
        kept.delete(wait)
        const left = (present.get(key) ?? 1) - 1
        if (left > 0) present.set(key, left)
        else {
          present.delete(key)
          broadcastPresence(userId, 'offline', options).catch(ignore)
        }
      })
      kept.add(wait)
      await broadcastPresence(userId, 'online', options)
    },
  }
}

/** Where somebody is present, and for how long. */
function placeOfPresence(options: PresenceOptions, operation: string): { room: string; ttl: Duration; ms: number } {
  named(options, 'options', PRESENCE_NAMES, operation)
  const { room = 'all', ttl = PRESENCE_SECONDS } = options
  checkText(room, 'options.room', operation)
  return { room, ttl, ms: lifetimeMs(ttl, PRESENCE_SECONDS * 1000, 'options.ttl', operation) }
}

function ignore(): void {}

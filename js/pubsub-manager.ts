// `holdfast/pubsub-manager`: the messages of the shared instance.

import type { PubSubManager } from './messages/manager.js'
import type { RealTime } from './messages/realtime.js'
import { root } from './root.js'

/** Messages between processes. */
export const pubSubManager: PubSubManager = root.pubSubManager

/** What chat apps tell each other at once. */
export const RealTimeManager: RealTime = root.RealTimeManager

/** Makes a manager with options of its own. */
export const createPubSubManager = root.createPubSubManager

/** Messages as server-sent events: a Response for a route handler. */
export const createEventStream = root.createEventStream

/** Listens to a channel. */
export const subscribe: PubSubManager['subscribe'] = root.subscribe

/** Ends the subscriptions of a channel. */
export const unsubscribe = root.unsubscribe

/** Publishes a message. */
export const publish = root.publish

/** How channels stand in this process. */
export const getChannelStats = root.getChannelStats

export type { Abortable } from './messages/abort.js'
export type { ChannelStats, Present, PubSubManager, PubSubManagerOptions, PubSubOptions } from './messages/manager.js'
export type { PublishOptions, PubSubMessage } from './messages/message.js'
export type { OverflowPolicy } from './messages/queue.js'
export type {
  AIResponseEvent,
  NotificationEvent,
  PresenceEvent,
  PresenceOptions,
  PresenceStatus,
  RealTime,
  RealTimeNotification,
  TypingEvent,
} from './messages/realtime.js'
export type { EventStreamOptions, EventStreamRequest } from './messages/sse.js'
export type { Gap, MessageHandler, Subscription, SubscriptionEvents, SubscriptionStats } from './messages/subscription.js'

// Messages: as they are published, and as they are read.

import { randomBytes } from 'node:crypto'

import { describe, invalid } from '../errors.js'
import { toJson } from '../values.js'

/** A message as a handler gets it. */
export interface PubSubMessage<Data = unknown> {
  /** Of this message alone; '' for one that something else published. */
  id: string
  /** Without the prefix. */
  channel: string
  /** What was published; of something else's message its JSON, or its text. */
  data: Data
  /** When it was published, ms since 1970 on its publisher's clock. */
  timestamp: number
  userId?: string
  sessionId?: string
  metadata?: Record<string, unknown>
  /** Where it stands among the messages that its channel keeps; of a persistent one. */
  eventId?: string
  /** It waited for Redis to come back: it may be out of date, and come behind newer ones of other publishers. */
  late?: true
  /** Redis does not answer, and only this process has it so far. */
  degraded?: true
}

/** Options of `publish`. */
export interface PublishOptions {
  userId?: string | undefined
  sessionId?: string | undefined
  metadata?: Record<string, unknown> | undefined
  /** Whether the channel keeps it for those who come later. Default: false. */
  persistent?: boolean | undefined
  /** For how long the channel keeps its messages, from the last one on: seconds, or `'1h'`. Default: 3600. */
  ttl?: number | `${number}${'s' | 'm' | 'h' | 'd'}` | undefined
  /** Whether it waits for a Redis that does not answer. Default: true; a persistent one always waits. */
  buffer?: boolean | undefined
  /** About how many the channel keeps. Default: 1000. */
  maxLength?: number | undefined
}

interface Wire {
  seq?: string
  late?: true
  degraded?: true
  ahead?: true
  id: string
  timestamp: number
  data: unknown
  userId?: string
  sessionId?: string
  metadata?: Record<string, unknown>
}

/** Messages that this process was told before Redis told them, and may be told again with their place. */
const aheadOfRedis = new WeakSet<PubSubMessage>()

export function isAheadOfRedis(message: PubSubMessage): boolean {
  return aheadOfRedis.has(message)
}

/** This sender, in 12 characters: `publish.lua` tells senders apart by it. */
const own = randomBytes(6).toString('hex')
let count = 0

/** A message as it crosses: a JSON object without its first brace. */
export function restOf(data: unknown, options: PublishOptions, operation: string): string {
  const id = `${Date.now()}-${own}${(count++).toString(36)}`
  const { userId, sessionId, metadata } = options
  let rest = `"id":"${id}","timestamp":${Date.now()},"data":${toJson(data, 'data', operation)}`
  if (userId !== undefined) rest += `,"userId":${textOf(userId, 'options.userId', operation)}`
  if (sessionId !== undefined) rest += `,"sessionId":${textOf(sessionId, 'options.sessionId', operation)}`
  if (metadata !== undefined) {
    if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
      throw invalid('options.metadata', `options.metadata is ${describe(metadata)}; allowed: an object`, operation)
    rest += `,"metadata":${toJson(metadata, 'options.metadata', operation)}`
  }
  return `${rest}}`
}

/** A text as a handler gets it. */
export function messageOf(text: unknown, channel: string): PubSubMessage {
  // What is no UTF-8 comes as bytes.
  if (typeof text !== 'string') return foreign(text, channel)
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return foreign(text, channel)
  }
  if (!isOurs(read)) return foreign(read, channel)
  const { seq, late, degraded, ahead, id, timestamp, data, userId, sessionId, metadata } = read
  const message: PubSubMessage = { id, channel, data, timestamp }
  if (userId !== undefined) message.userId = userId
  if (sessionId !== undefined) message.sessionId = sessionId
  if (metadata !== undefined) message.metadata = metadata
  if (seq !== undefined) message.eventId = seq
  if (late) message.late = true
  if (degraded) message.degraded = true
  if (degraded || ahead) aheadOfRedis.add(message)
  return message
}

function isOurs(read: unknown): read is Wire {
  if (typeof read !== 'object' || read === null) return false
  const { id, timestamp } = read as Partial<Wire>
  return typeof id === 'string' && typeof timestamp === 'number' && 'data' in read
}

function foreign(data: unknown, channel: string): PubSubMessage {
  return { id: '', channel, data, timestamp: Date.now() }
}

function textOf(value: unknown, path: string, operation: string): string {
  if (typeof value === 'string') return JSON.stringify(value)
  throw invalid(path, `${path} is ${describe(value)}; allowed: a text`, operation)
}

/** An event id: when the channel began to keep messages, and the number of this one. */
export interface Place {
  readonly began: number
  readonly number: number
}

/** What an event id says; null: it is none. */
export function placeOf(eventId: string): Place | null {
  const match = /^(\d{1,16})-(\d{1,16})$/.exec(eventId)
  return match === null ? null : { began: Number(match[1]), number: Number(match[2]) }
}

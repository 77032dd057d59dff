// The connection to Redis: raw commands, the state of the connection, and how the server is.

import { rawArguments, rawPipeline, type CommandArgument, type PipelineCommand } from '../arguments.js'
import type { Connection } from '../connection.js'
import { HoldfastError, fromRecord, type ErrorRecord } from '../errors.js'
import {
  encodeCommand,
  encodePipeline,
  encodeReconnect,
  encodeVerdict,
  type RawArgument,
} from '../generated/operations.js'
import { readInfo } from '../info.js'
import { DECODE_RAW } from '../inbox.js'
import { SOFT_NEVER, SOFT_NULL } from '../slots.js'

/** How the connection is. */
export interface RedisConnectionState {
  isConnected: boolean
  isConnecting: boolean
  /** Why the last attempt failed; absent once one succeeded. */
  lastError?: Error
  /** Attempts since the last success. */
  connectionAttempts: number
  lastConnectedAt?: Date
  lastReconnectAt?: Date
}

/** How the server is. */
export interface RedisHealth {
  /** `degraded`: it answers, and takes 100 ms or longer. `unhealthy`: it does not answer. */
  status: 'healthy' | 'degraded' | 'unhealthy'
  details: {
    connected: boolean
    /** How long a PING took, ms. */
    latency?: number
    /** Memory used, as the server writes it: `1.20M`. */
    memory?: string
    version?: string
    /** Seconds. */
    uptime?: number
    /** Keys by database, as the server writes them: `{ db0: 'keys=12,expires=3,avg_ttl=0' }`. */
    keyspace?: Record<string, string>
  }
}

/** Raw commands, as Redis has them. Keys get the key prefix, in front and not twice. */
export interface RawClient {
  /**
   * Sends one command and answers what Redis answers: text, number, null, array or object; bytes that
   * are no text as Uint8Array. Rejects with `E_INVALID` for a wrong argument, `E_UNAVAILABLE` while Redis
   * doesn't answer, `E_TIMEOUT`, and `E_DATA` or `E_UNSUPPORTED` for what the server refuses; `applied` tells
   * whether it may have happened. Memory stands in only with `fallback.rawChanges: 'merge'`, for what merges and
   * for reads of what was changed so. With memory for good (`memory:`) the embedded store answers the commands
   * that it knows.
   */
  call<T = unknown>(command: string, ...args: CommandArgument[]): Promise<T>
}

const SLOW_MS = 100

/** The Redis client. Nothing connects before the first question. */
export class RedisClient {
  private readonly connection: Connection
  private readonly raw: RawClient
  private lastError: Error | undefined

  /** @internal */
  constructor(connection: Connection) {
    this.connection = connection
    this.raw = {
      call: async <T>(command: string, ...args: CommandArgument[]) => {
        const operation = 'client.call'
        return (await this.send(rawArguments(command, args, '', operation), SOFT_NEVER, operation)) as T
      },
    }
  }

  /** Raw commands. Never null: while Redis is away its calls reject with `E_UNAVAILABLE`. Starts the dial. */
  getClient(): RawClient {
    if (!this.connection.closed) this.state('redisClient.getClient')
    return this.raw
  }

  /** Whether Redis answers now. False until the first attempt succeeded, which this starts; false when closed. */
  isAvailable(): boolean {
    return !this.connection.closed && this.state('redisClient.isAvailable').isConnected
  }

  /** A copy of how the connection is. Starts the dial. */
  getConnectionState(): RedisConnectionState {
    if (this.connection.closed) return { isConnected: false, isConnecting: false, connectionAttempts: 0 }
    const native = this.state('redisClient.getConnectionState')
    const state: RedisConnectionState = {
      isConnected: native.isConnected,
      isConnecting: native.isConnecting,
      connectionAttempts: native.connectionAttempts,
    }
    const lastError = native.lastError === undefined ? this.lastError : fromRecord(native.lastError, '')
    if (lastError !== undefined) state.lastError = lastError
    if (native.lastConnectedAt !== undefined) state.lastConnectedAt = new Date(native.lastConnectedAt)
    if (native.lastReconnectAt !== undefined) state.lastReconnectAt = new Date(native.lastReconnectAt)
    return state
  }

  /** Drops the connection and dials anew. Resolves when that has succeeded or failed; see `getConnectionState()`. */
  async reconnect(): Promise<void> {
    const operation = 'redisClient.reconnect'
    const batch = this.connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_NULL, operation, 0)
    encodeReconnect(batch.outbox, slot.id)
    try {
      await batch.commit(slot)
    } catch (error) {
      if (isCallersFault(error)) throw error
      this.lastError = error as Error
    }
  }

  /**
   * Sends one command. null when Redis is not available or refuses it; why is `lastError` of
   * `getConnectionState()`. Rejects only with `E_INVALID` and `E_CLOSED`.
   */
  async execute<T = unknown>(command: string, ...args: CommandArgument[]): Promise<T | null> {
    const operation = 'redisClient.execute'
    const raw = rawArguments(command, args, '', operation)
    try {
      return (await this.send(raw, SOFT_NEVER, operation)) as T
    } catch (error) {
      if (isCallersFault(error)) throw error
      this.lastError = error as Error
      return null
    }
  }

  /**
   * Sends commands in one go, each for itself: not a transaction. The answers in order, null for one that
   * failed; an empty array when Redis is not available. Rejects only with `E_INVALID` and `E_CLOSED`.
   */
  async pipeline(operations: readonly PipelineCommand[]): Promise<unknown[]> {
    const operation = 'redisClient.pipeline'
    const raw = rawPipeline(operations, operation)
    const batch = this.connection.batch(operation)
    if (raw.length === 0) return []
    const slot = batch.begin(DECODE_RAW, SOFT_NEVER, operation, 0)
    encodePipeline(batch.outbox, slot.id, raw, 0)
    try {
      const answers = (await batch.commit(slot)) as unknown[]
      return answers.map((answer) => (answer instanceof HoldfastError ? null : answer))
    } catch (error) {
      if (isCallersFault(error)) throw error
      this.lastError = error as Error
      return []
    }
  }

  /** How the server is: the time of a PING, and what INFO says. Never rejects. */
  async healthCheck(): Promise<RedisHealth> {
    const operation = 'redisClient.healthCheck'
    try {
      const started = performance.now()
      await this.send(['PING'], SOFT_NEVER, operation)
      // With memory for good there is no server, and it is memory that answered.
      if (!this.state(operation).isConnected) return unhealthy()
      const latency = Math.round((performance.now() - started) * 100) / 100
      return {
        status: latency < SLOW_MS ? 'healthy' : 'degraded',
        details: { connected: true, latency, ...(await this.info(operation)) },
      }
    } catch {
      return unhealthy()
    }
  }

  /** Lets what is in flight finish and closes the instance, memory included. Never rejects. */
  async shutdown(): Promise<void> {
    await this.connection.close()
  }

  /** @internal Waits until it is known whether Redis answers. */
  async verdict(operation: string): Promise<boolean> {
    const batch = this.connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, SOFT_NULL, operation, 0)
    encodeVerdict(batch.outbox, slot.id)
    const verdict = (await batch.commit(slot)) as { available: boolean } | null
    return verdict?.available === true
  }

  private send(args: readonly RawArgument[], soft: number, operation: string): Promise<unknown> {
    const batch = this.connection.batch(operation)
    const slot = batch.begin(DECODE_RAW, soft, operation, 0)
    encodeCommand(batch.outbox, slot.id, args, 0)
    return batch.commit(slot)
  }

  private async info(operation: string): Promise<ReturnType<typeof readInfo>> {
    try {
      return readInfo(await this.send(['INFO'], SOFT_NEVER, operation))
    } catch {
      // A server may allow PING and deny INFO: it is well, and says no more.
      return {}
    }
  }

  private state(operation: string): NativeConnectionState {
    return this.connection.look<NativeConnectionState>('connection', operation)
  }
}

interface NativeConnectionState {
  isConnected: boolean
  isConnecting: boolean
  connectionAttempts: number
  lastError?: ErrorRecord
  lastConnectedAt?: number
  lastReconnectAt?: number
}

function unhealthy(): RedisHealth {
  return { status: 'unhealthy', details: { connected: false } }
}

/** Whether the call itself was wrong, which no server has to do with. */
function isCallersFault(error: unknown): boolean {
  return HoldfastError.isInstance(error) && (error.code === 'E_INVALID' || error.code === 'E_CLOSED')
}

// What the specs of sessions in outages share: managers, ways into an outage and out of it, and two instances of which
// each has a network of its own.
import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { opener, patient, type Instance, type InstanceOptions } from '../cache/stores'
import type { Scene } from '../fault/outage'
import { FaultProxy } from '../support/fault-proxy'
import { RedisServer, type RedisServerOptions } from '../support/redis-server'
import { waitFor } from '../support/wait-for'

export type Manager = Instance['sessionManager']
export type ManagerOptions = Parameters<Instance['createSessionManager']>[0]
export type Session = NonNullable<Awaited<ReturnType<Manager['getSession']>>>

export const unavailable = { code: 'E_UNAVAILABLE', applied: 'no' }

/** A user whom no other test has. */
export const newUser = (): string => `user-${randomUUID()}`

type Turn = (scene: Scene) => Promise<unknown> | void

export interface Outage {
  name: string
  begin: Turn
  end: Turn
  persistent: boolean
  /** The server has forgotten everything. */
  isLost: boolean
}

const outage = (name: string, begin: Turn, end: Turn, persistent = false, isLost = false): Outage => ({ name, begin, end, persistent, isLost })

export const outages: Outage[] = [
  outage('was killed and came back with its data', ({ server }) => server.kill(), ({ server }) => server.start(), true),
  outage('was killed and came back empty', ({ server }) => server.kill(), ({ server }) => server.start(), false, true),
  outage('was frozen', ({ server }) => server.freeze(), ({ server }) => server.thaw()),
  outage('could not be reached', ({ proxy }) => proxy.set('refuse'), ({ proxy }) => proxy.set('pass')),
  outage('was silent', ({ proxy }) => proxy.set('blackhole'), ({ proxy }) => proxy.set('pass')),
]

/**
 * As somebody sees it who knows nothing but what the server has, and waits for it: memory would answer for a first contact
 * that takes its time, and knows nothing.
 */
export const judgeOf = (scene: Scene): Manager => scene.open({ url: scene.server.url, ...patient }).sessionManager

/** What a session holds; null: it is not there. */
export async function dataOf(manager: Manager, id: string): Promise<unknown> {
  return (await manager.getSession(id, { sliding: false }))?.data ?? null
}

/** The same of several. */
export function datasOf(manager: Manager, ids: readonly string[]): Promise<unknown[]> {
  return Promise.all(ids.map((id) => dataOf(manager, id)))
}

/** What a session says of itself in lists. */
export async function handleOf(manager: Manager, id: string): Promise<string> {
  const session = await manager.getSession(id, { sliding: false })
  expect(session).not.toBeNull()
  return session!.handle
}

/** Memory answers an instance from now on. */
export async function alone({ cacheManager, fallbackManager }: Instance): Promise<void> {
  await waitFor('an outage to be noticed', async () => {
    await cacheManager.exists('probe')
    return fallbackManager.getStats().isUsingFallback
  })
}

/** The same by request. It is so at once; undone before the connection heard of it, it would come back for a moment. */
export async function forced({ fallbackManager, isRedisAvailable }: Instance): Promise<void> {
  await fallbackManager.forceFallbackMode(true)
  await waitFor('the connection to be given up', () => !isRedisAvailable())
}

/** Redis answers it, and everything that waited is there. */
export async function back({ fallbackManager, isRedisAvailable }: Instance): Promise<void> {
  await waitFor('an instance to be back', () => {
    const { isUsingFallback, journalDepth, syncStatus } = fallbackManager.getStats()
    return isRedisAvailable() && !isUsingFallback && journalDepth === 0 && syncStatus !== 'syncing'
  })
}

/** An instance with a network of its own. */
export class Side {
  readonly sessions: Manager
  isAway = false

  constructor(
    readonly holdfast: Instance,
    readonly proxy: FaultProxy,
    options: ManagerOptions,
  ) {
    this.sessions = holdfast.createSessionManager(options)
  }

  async leave(): Promise<void> {
    // It goes on listening, so that nobody takes its port meanwhile.
    await this.proxy.set('reset')
    await alone(this.holdfast)
    this.isAway = true
  }

  async comeBack(): Promise<void> {
    await this.proxy.set('pass')
    await back(this.holdfast)
    this.isAway = false
  }
}

/** Two instances at one server, of which each can be cut off by itself; and a third one that never is. */
export class Two implements AsyncDisposable {
  private constructor(
    readonly server: RedisServer,
    private readonly isOwn: boolean,
    readonly one: Side,
    readonly other: Side,
    /** Asks as somebody does who knows nothing yet. */
    readonly judge: Manager,
    private readonly judging: Instance,
    private readonly closeAll: () => Promise<void>,
  ) {}

  static async start(options: ManagerOptions = {}, instance: InstanceOptions = {}, settings: RedisServerOptions = {}): Promise<Two> {
    return await Two.at(await RedisServer.start(settings), options, instance, true)
  }

  static async at(server: RedisServer, options: ManagerOptions = {}, instance: InstanceOptions = {}, isOwn = false): Promise<Two> {
    const { open, closeAll } = opener({ keyPrefix: `two:${randomUUID()}:`, ...instance })
    const side = async (): Promise<Side> => {
      const proxy = await FaultProxy.start({ port: server.port })
      return new Side(open({ url: proxy.url }), proxy, options)
    }
    const sides = [await side(), await side()] as const
    const judging = open({ url: server.url })
    const judge = judging.createSessionManager(options)
    // Each has asked the server for its time before anything begins.
    await Promise.all([...sides.map(({ sessions }) => sessions), judge].map((sessions) => sessions.getUserSessions('nobody')))
    return new Two(server, isOwn, sides[0], sides[1], judge, judging, closeAll)
  }

  get sides(): Side[] {
    return [this.one, this.other]
  }

  /** A user's session that both know. */
  async known(user: string | null, data: Record<string, unknown> = {}): Promise<string> {
    const id = await this.one.sessions.createSession(user, data)
    for (const { sessions } of this.sides) expect(await dataOf(sessions, id)).toEqual(data)
    return id
  }

  /** The third one may have been cut off by what became of the server. */
  judged(): Promise<void> {
    return back(this.judging)
  }

  /** What all three see; it has to be the same. */
  async seen(id: string): Promise<unknown> {
    await this.judged()
    const [judged, ...others] = await Promise.all([this.judge, this.one.sessions, this.other.sessions].map((manager) => dataOf(manager, id)))
    expect(others).toEqual([judged, judged])
    return judged
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.thaw()
    await Promise.all(this.sides.map(({ proxy }) => proxy.close()))
    await this.closeAll()
    if (this.isOwn) await this.server.dispose()
  }
}

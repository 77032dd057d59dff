// Whatever two instances do with the sessions of their users, and whenever one of them or both can't reach Redis: what is
// ended is never read again, and what was changed last is there. Acts drawn by chance, against a simple model.
//
// HOLDFAST_LAW_CASES says how many rounds, HOLDFAST_LAW_SEED where to begin: a number that a failure tells, or 'random'.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { apart } from '../fault/outage'
import { generator, type Random } from '../support/random'
import { RedisServer } from '../support/redis-server'
import { newUser, Two, type Side } from './outages'

/** Acts of a round. */
const LENGTH = 60
/** Rounds that run at once. */
const WIDTH = 10
const rounds = Number(process.env['HOLDFAST_LAW_CASES'] ?? 30)
const seedText = process.env['HOLDFAST_LAW_SEED'] ?? '1'
const first = seedText === 'random' ? Math.floor(Math.random() * 1e9) : Number(seedText)

const FIELDS = ['a', 'b', 'c']

interface Known {
  /** Under which it was known, the newest last. */
  readonly ids: string[]
  readonly user: string | null
  /** What was set last, and by whom; undefined: it was removed. */
  readonly fields: Map<string, unknown>
  /** Who ended it, and who asked Redis since and was told. Alone, others may take it from a copy for a while. */
  readonly goneFor: Set<Side>
  isEnded: boolean
  /** The server knows it. */
  isGone: boolean
  /** Who did something to it last. */
  last: Side | null
  /** Which instances have seen it. */
  readonly seenBy: Set<Side>
}

type Act = 'create' | 'set' | 'remove' | 'end' | 'end all' | 'keep one' | 'rotate' | 'read' | 'leave' | 'come back'

const acts: Record<Act, number> = { create: 8, set: 30, remove: 8, end: 5, 'end all': 2, 'keep one': 2, rotate: 6, read: 12, leave: 6, 'come back': 7 }

class Round {
  private readonly users = [newUser(), newUser(), null]
  private readonly all: Known[] = []
  private readonly log: string[] = []
  private counter = 0

  constructor(
    private readonly two: Two,
    private readonly chance: Random,
    private readonly weights: Partial<Record<Act, number>>,
  ) {}

  async play(): Promise<string[]> {
    for (const _ of range(LENGTH)) await this.step()
    for (const side of this.two.sides) if (side.isAway) await this.comeBack(side)
    await this.judge()
    return this.log
  }

  get story(): string {
    return this.log.join('\n')
  }

  private draw(): Act {
    const weights = Object.entries({ ...acts, ...this.weights }) as [Act, number][]
    let left = this.chance.below(weights.reduce((sum, [, weight]) => sum + weight, 0))
    for (const [act, weight] of weights) {
      left -= weight
      if (left < 0) return act
    }
    return 'read'
  }

  private async step(): Promise<void> {
    const { chance, two } = this
    const side = chance.pick(two.sides)
    const who = `${side === two.one ? 'one' : 'other'}${side.isAway ? ', cut off,' : ''}`
    const act = this.draw()
    if (act === 'leave' || act === 'come back') {
      if (side.isAway !== (act === 'leave')) {
        this.log.push(`${who}: ${act}`)
        await (act === 'leave' ? side.leave() : this.comeBack(side))
      }
      return
    }
    if (act === 'create') return await this.create(side, who)
    const known = this.all.filter(({ seenBy }) => seenBy.has(side) || !side.isAway)
    if (known.length === 0) return
    const session = chance.pick(known)
    const number = this.all.indexOf(session)
    // Two who are cut off from each other have to agree which of two acts is the later one.
    if (session.last !== side || act === 'end all' || act === 'keep one') await apart()
    const id = session.ids.at(-1)!
    const { sessions } = side
    const isGone = session.goneFor.has(side) || (session.isGone && !side.isAway)
    const expectGone = (answer: unknown, gone: unknown): void => {
      if (!isGone) return
      session.goneFor.add(side)
      expect(answer, `what is ended was found: ${act} of ${number}`).toEqual(gone)
    }
    const end = (ended: Known): void => {
      ended.isEnded = true
      ended.goneFor.add(side)
      if (!side.isAway) ended.isGone = true
    }
    switch (act) {
      case 'set':
      case 'remove': {
        const field = chance.pick(FIELDS)
        const value = act === 'set' ? ++this.counter : undefined
        const done = await sessions.updateSession(id, { [field]: value })
        this.log.push(`${who}: ${act} ${field} of ${number} to ${value}: ${done}`)
        expectGone(done, false)
        if (!done) return
        session.fields.set(field, value)
        break
      }
      case 'end': {
        const done = await sessions.deleteSession(id)
        this.log.push(`${who}: end ${number}: ${done}`)
        end(session)
        break
      }
      case 'end all':
      case 'keep one': {
        if (session.user === null) return
        const count = act === 'keep one' ? await sessions.revokeOthers(id) : await sessions.invalidateUserSessions(session.user)
        this.log.push(`${who}: ${act} of the user of ${number}: ${count}`)
        // It was not there, or is not known to be: then nothing was ended.
        if (act === 'keep one' && count === 0 && !(await sessions.sessionExists(id))) return
        for (const other of this.all) {
          if (other.user !== session.user || (act === 'keep one' && other === session)) continue
          end(other)
        }
        session.last = side
        await apart()
        break
      }
      case 'rotate': {
        const next = await sessions.rotate(id)
        this.log.push(`${who}: rotate ${number}: ${next !== null}`)
        expectGone(next, null)
        if (next === null) return
        session.ids.push(next)
        // Others may not know the new one.
        session.seenBy.clear()
        break
      }
      case 'read': {
        const found = await sessions.getSession(id)
        this.log.push(`${who}: read ${number}: ${JSON.stringify(found?.data)}`)
        expectGone(found, null)
        if (found === null) return
      }
    }
    session.last = side
    session.seenBy.add(side)
  }

  private async create(side: Side, who: string): Promise<void> {
    const user = this.chance.pick(this.users)
    const value = ++this.counter
    const id = await side.sessions.createSession(user, { a: value })
    this.log.push(`${who}: create ${this.all.length} of user ${this.users.indexOf(user)}, a ${value}`)
    this.all.push({ ids: [id], user, fields: new Map([['a', value]]), goneFor: new Set(), isEnded: false, isGone: false, last: side, seenBy: new Set([side]) })
  }

  private async comeBack(side: Side): Promise<void> {
    await side.comeBack()
    for (const session of this.all) if (session.goneFor.has(side)) session.isGone = true
  }

  private async judge(): Promise<void> {
    for (const [number, session] of this.all.entries()) {
      const { ids, isEnded, fields } = session
      const expected = Object.fromEntries([...fields].filter(([, value]) => value !== undefined))
      for (const id of isEnded ? ids : ids.slice(-1))
        expect(await this.two.seen(id), `session ${number}`).toEqual(isEnded ? null : expected)
    }
  }
}

const laws: [string, Partial<Record<Act, number>>][] = [
  ['sets, removes, ends and ends all of', { 'keep one': 0, rotate: 0 }],
  ['also ends all but one of', { rotate: 0, 'keep one': 4 }],
  ['also gives new ids to', { rotate: 8 }],
]

describe.each(laws)('whoever %s sessions', (_, weights) => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(async () => await server.dispose())

  it(`finds in the end what the last one left, in ${rounds} rounds`, { timeout: 60_000 + rounds * 10_000 }, async () => {
    const seeds = range(rounds).map((n) => first + n)
    const broken: string[] = []
    const worker = async (): Promise<void> => {
      for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
        await using two = await Two.at(server, { degradedLogins: true })
        const round = new Round(two, generator(seed), weights)
        try {
          await round.play()
        } catch (error) {
          broken.push(`HOLDFAST_LAW_SEED=${seed}: ${(error as Error).message}\n${round.story}`)
        }
      }
    }
    await Promise.all(range(WIDTH).map(worker))
    expect(broken.length === 0 ? '' : `${broken.length} of ${rounds} rounds; the shortest story:\n${broken.sort((one, other) => one.length - other.length)[0]}`).toBe('')
  })
})

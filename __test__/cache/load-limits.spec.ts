// How many loaders run at once in an outage.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LoadLimits, Room } from '../../js/load-limits'

const MOST = 32

describe('the room for loaders', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())
  const crowd = async (limits: LoadLimits, count = MOST) => {
    const rooms = Array.from({ length: count }, () => new Room(limits))
    expect(await Promise.all(rooms.map((room) => room.enter(0)))).toEqual(rooms.map(() => true))
    return rooms
  }

  it('is given in turn, and back by who leaves, once', async () => {
    const limits = new LoadLimits()
    const [first, second] = (await crowd(limits)) as [Room, Room]
    const waiting = [new Room(limits), new Room(limits), new Room(limits)]
    const came: number[] = []
    waiting.forEach((room, at) => void room.enter(Infinity).then(() => came.push(at)))
    first.leave()
    await vi.advanceTimersByTimeAsync(0)
    expect(came).toEqual([0])
    second.leave()
    await vi.advanceTimersByTimeAsync(0)
    expect(came).toEqual([0, 1])
  })

  it('is not kept for who has waited long enough', async () => {
    const limits = new LoadLimits()
    const [first] = (await crowd(limits)) as [Room]
    const entering = new Room(limits).enter(50)
    await vi.advanceTimersByTimeAsync(50)
    expect(await entering).toBe(false)
    first.leave()
    expect(await new Room(limits).enter(0)).toBe(true)
    expect(await within(new Room(limits).enter(1))).toBe(false)
  })

  it('is taken from a loader that hangs after 2 minutes, and not given back twice', async () => {
    const limits = new LoadLimits()
    const hung = await crowd(limits)
    const entering = new Room(limits).enter(Infinity)
    await vi.advanceTimersByTimeAsync(120_000)
    expect(await entering).toBe(true)
    for (const room of hung) room.leave()
    await crowd(limits, MOST - 1)
    expect(await within(new Room(limits).enter(1))).toBe(false)
  })

  it('is nothing that anybody waits for once Redis answers', async () => {
    const limits = new LoadLimits()
    await crowd(limits)
    const entering = Array.from({ length: 100 }, () => new Room(limits).enter(Infinity))
    limits.letAllIn()
    expect(new Set(await Promise.all(entering))).toEqual(new Set([true]))
  })

  it('is shared by the loads of one loader, and free when the last of them has left', async () => {
    const limits = new LoadLimits()
    await crowd(limits, MOST - 1)
    const shared = new Room(limits)
    expect(await Promise.all([shared.enter(0), shared.enter(0), shared.enter(0)])).toEqual([true, true, true])
    shared.leave()
    shared.leave()
    expect(await within(new Room(limits).enter(1))).toBe(false)
    shared.leave()
    expect(await new Room(limits).enter(0)).toBe(true)
  })
})

async function within(entering: Promise<boolean>): Promise<boolean> {
  await vi.advanceTimersByTimeAsync(1)
  return await entering
}

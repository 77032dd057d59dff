// What the specs of this folder share: a batch and its bridge before an addon in plain JS, made anew for each test, and
// the calls that go through them.

import { Batch } from '../../js/batch'
import { Bridge } from '../../js/bridge'
import { getEntry, loadEntry, plainTerms, setEntry } from '../../js/entries'
import { encodeCommand, type RawArgument } from '../../js/generated/operations'
import type { HotTable } from '../../js/hot'
import { DECODE_FOUND, DECODE_RAW, DECODE_VALUE } from '../../js/inbox'
import { encodeValue, type Serializer } from '../../js/serializers'
import { SOFT_NEVER } from '../../js/slots'
import { FakeAddon, type Crossed } from './fake-addon'

export let addon: FakeAddon
export let bridge: Bridge
export let batch: Batch

/** Before each test. */
export function setStage(): void {
  addon = new FakeAddon()
  bridge = new Bridge(addon.module)
  batch = new Batch(bridge, 0, {})
}

export const at = (key: string, flags = 0) => ({ family: 'cache', key, flags })
export const get = (key: string, decoder = DECODE_VALUE, keeper: HotTable | null = null) =>
  getEntry(batch, { decoder, keeper }, at(key), 'cacheManager.get')
export const set = (key: string, value: unknown, serializer: Serializer = 'json') =>
  setEntry(batch, at(key), encodeValue(value, serializer, 'value', 'set'), plainTerms(1000), 'cacheManager.set')
export const load = (key: string) =>
  loadEntry(batch, { decoder: DECODE_FOUND }, at(key), 10_000, { ...plainTerms(1000), tags: ['t:a'] }, 'cacheManager.getOrSet')

export function command(args: readonly RawArgument[], soft = SOFT_NEVER): Promise<unknown> {
  const slot = batch.begin(DECODE_RAW, soft, 'client.call', 0)
  encodeCommand(batch.outbox, slot.id, args, 0)
  return batch.commit(slot)
}

export const tick = () => new Promise<void>((resolve) => process.nextTick(resolve))
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
/** What crossed last. */
export const last = () => addon.batches.at(-1) as Crossed[]

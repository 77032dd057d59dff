// One instance's hold on the native side: opened at the first call that needs it, closed once, opened
// again when the system is initialised anew. The managers keep this object for life.

import { Batch } from './batch.js'
import { bridgeTo, type Bridge, type EventReceiver, type NativeEvent } from './bridge.js'
import { HoldfastError, closed, fromRecord, fromThrown, type ErrorRecord } from './errors.js'
import { Emitter, type BackendState, type HoldfastEvents } from './events.js'
import { nativeModule } from './native-module.js'
import { configText, journalPathOf, type ConfigView, type FallbackSettings, type HoldfastOptions } from './options.js'
import { Flights, LONGEST_LOAD_MS } from './flights.js'
import { Hot } from './hot.js'
import type { Heard, Missed } from './inbox.js'
import { Leases } from './leases.js'
import { Holds } from './limits/holds.js'
import { warnUnshared } from './limits/warnings.js'
import { LoadLimits } from './load-limits.js'
import { Channels } from './messages/channels.js'
import { Notes } from './messages/notes.js'
import { Tally } from './tally.js'

/** What is open. */
interface Open {
  readonly bridge: Bridge
  readonly batch: Batch
  readonly config: string
  readonly view: ConfigView
  readonly hot: Hot | null
}

type StateChange = NativeEvent & HoldfastEvents['state-change']

/** While memory answers for a server that doesn't. */
const ON_MEMORY: ReadonlySet<BackendState> = new Set<BackendState>(['degraded', 'forced'])

/** What an instance leaves behind. It must not lead back to the instance. */
interface Left {
  readonly bridge: Bridge
  readonly handle: number
  hot: Hot | null
}

/** Closes what an instance that was dropped without close() left open. */
const dropped = new FinalizationRegistry<Left>(({ bridge, handle, hot }) => {
  bridge.forget(handle)
  bridge.native.close(handle)
  hot?.clear()
})

/** Instances with listeners: they live as long as somebody wants to hear from them. */
const heard = new Set<Connection>()

export class Connection implements EventReceiver {
  readonly events = new Emitter()
  readonly flights = new Flights()
  readonly limits = new LoadLimits()
  readonly leases = new Leases(() => this.batch('cacheManager.getOrSet'), LONGEST_LOAD_MS)
  readonly holds = new Holds()
  readonly tally = new Tally((rows) => this.count(rows))
  /** Counts how often the instance was opened for use; a manager that was shut down stays so within one. */
  generation = 0
  // Hidden from inspection, not only from the types: both hold the password.
  #open: Open | null = null
  readonly #options: HoldfastOptions
  /** Who was said to be present. */
  readonly notes = new Notes()
  /** What is listened to. */
  readonly channels = new Channels(this)
  private isClosed = false
  private systemFallback: FallbackSettings = {}

  constructor(options: HoldfastOptions) {
    this.#options = options
  }

  /** Where operations are written. Opens the instance; throws when it is closed or the settings are wrong. */
  batch(operation: string): Batch {
    return (this.#open ?? this.reach(operation)).batch
  }

  /** The texts that are kept in front of the native side, if they can be. */
  hot(operation: string): Hot | null {
    return (this.#open ?? this.reach(operation)).hot
  }

  /** The decided settings. */
  view(operation: string): ConfigView {
    return (this.#open ?? this.reach(operation)).view
  }

  /** A question that what was called before it can't change: it hands nothing over. */
  look<Answer>(what: string, operation: string, argument = ''): Answer {
    const { bridge, batch } = this.#open ?? this.reach(operation)
    return ask<Answer>(bridge, batch.handle, what, argument, operation)
  }

  /** A question or a switch, answered at once, after what was called before it. */
  inspect<Answer>(what: string, argument: string, operation: string): Answer {
    const { bridge, batch } = this.#open ?? this.reach(operation)
    batch.flush()
    return ask<Answer>(bridge, batch.handle, what, argument, operation)
  }

  get closed(): boolean {
    return this.isClosed
  }

  /** Where the journal is kept on disk; '' for nowhere. */
  get journalPath(): string {
    return journalPathOf(this.#options)
  }

  /** Whether anything was asked of it yet. */
  get isOpen(): boolean {
    return this.#open !== null
  }

  /**
   * Opens with these settings: a no-op when it is open with the same ones, else afresh. What was called
   * before finishes on the old ones. Throws `E_INVALID` and leaves everything as it was when they are wrong.
   */
  reopen(fallback: FallbackSettings, operation: string): void {
    const config = configText(this.#options, fallback, operation)
    if (this.#open?.config !== config) {
      const before = this.#open
      const next = this.connect(config, operation)
      this.tally.flush()
      this.#open = next
      if (before !== null) {
        this.channels.rejoin(operation)
        void this.leave(before)
      }
    }
    this.systemFallback = fallback
    this.isClosed = false
    this.generation++
  }

  /** Lets what is in flight finish, then closes. Everything called from now on gets `E_CLOSED`. */
  async close(): Promise<void> {
    if (this.#open !== null) this.channels.close()
    this.isClosed = true
    this.tally.flush()
    const open = this.#open
    this.#open = null
    if (open !== null) await this.leave(open)
  }

  receive(event: NativeEvent | Heard | Missed): void {
    if (isHeard(event)) return this.channels.take(event.number, event.channel, event.text)
    if (isMissed(event)) return this.channels.missed(event.number, event.since, event.count)
    if (event.type === 'instances-unset') return warnUnshared()
    if (event.type === 'hold-lost') return this.holds.lose((event as NativeEvent & { id: string }).id)
    if (event.type === 'state-change') {
      const { to } = event as StateChange
      if (ON_MEMORY.has(to)) this.notes.left()
      else this.limits.letAllIn()
      if (to === 'online') this.notes.returned()
    }
    this.events.emit(event.type, event)
  }

  on(name: string, listener: unknown, operation: string): void {
    this.events.on(name, listener, operation)
    this.heed()
  }

  off(name: string, listener: unknown, operation: string): void {
    this.events.off(name, listener, operation)
    this.heed()
  }

  /** Lives as long as somebody wants to hear from it. */
  heed(): void {
    if (this.events.isHeard || this.channels.isUsed) heard.add(this)
    else heard.delete(this)
  }

  /** Hands over what this side counted. What is counted after the end counts for nobody. */
  private count(rows: string): void {
    if (this.#open === null) return
    const { bridge, batch } = this.#open
    try {
      ask(bridge, batch.handle, 'countCache', rows, 'cacheManager.getStats')
    } catch {
      // Nobody asked, and counts are all that is lost.
    }
  }

  private reach(operation: string): Open {
    if (this.isClosed) throw closed(operation)
    const open = this.connect(configText(this.#options, this.systemFallback, operation), operation)
    this.#open = open
    return open
  }

  private connect(config: string, operation: string): Open {
    const bridge = bridgeTo(nativeModule())
    let handle: number
    try {
      handle = bridge.native.open(config)
    } catch (thrown) {
      throw fromThrown(thrown, operation)
    }
    bridge.listen(handle, this)
    const left: Left = { bridge, handle, hot: null }
    dropped.register(this, left, bridge)
    const view = ask<ConfigView>(bridge, handle, 'config', '', operation)
    const echo = (): void => void ask(bridge, handle, 'echoMarks', '', operation)
    const hot = Hot.over(bridge.native.marks(handle), echo, bridge.hotRoom)
    left.hot = hot
    return { bridge, batch: new Batch(bridge, handle, this), config, view, hot }
  }

  private async leave({ bridge, batch, hot }: Open): Promise<void> {
    await batch.close()
    hot?.clear()
    bridge.forget(batch.handle)
    bridge.native.close(batch.handle)
  }
}

function isHeard(event: NativeEvent | Heard | Missed): event is Heard {
  return event.type === 'message'
}

function isMissed(event: NativeEvent | Heard | Missed): event is Missed {
  return event.type === 'missed'
}

function ask<Answer>(bridge: Bridge, handle: number, what: string, argument: string, operation: string): Answer {
  let text: string
  try {
    text = bridge.native.inspect(handle, what, argument)
  } catch (thrown) {
    throw fromThrown(thrown, operation)
  }
  const answer = JSON.parse(text) as { ok?: Answer; error?: ErrorRecord }
  if (answer.error !== undefined) throw fromRecord(answer.error, operation)
  if (!('ok' in answer))
    throw new HoldfastError({ code: 'E_INTERNAL', message: `a defect in holdfast: no answer to ${what}`, operation })
  return answer.ok as Answer
}

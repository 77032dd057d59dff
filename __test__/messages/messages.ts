// What the specs of messages share: handlers that note what they get, looks at the server from outside, and publishers
// and listeners that share no line with the package.
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { Gap, PubSubManager, PubSubMessage, PubSubOptions, Subscription as SubscriptionOf } from 'holdfast'
import type { RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'

export type Manager = PubSubManager
export type Subscription = SubscriptionOf
export type SubscribeOptions = PubSubOptions
export type Message = PubSubMessage
export type { Gap }

/** A name that no other channel has. */
export const fresh = (text: string): string => `${text}:${randomUUID()}`

export interface Heard {
  handler: (message: Message) => void
  messages: Message[]
  gaps: Gap[]
  /** Options that note the gaps. */
  onGap: (gap: Gap) => void
  data: () => unknown[]
  /** Waits until so many have come; answers what they hold. */
  until: (count: number, withinMs?: number) => Promise<unknown[]>
  /** Waits until this has come; answers what all hold. */
  untilData: (data: unknown, withinMs?: number) => Promise<unknown[]>
}

/** A handler that notes what it gets. */
export function hears(): Heard {
  const messages: Message[] = []
  const gaps: Gap[] = []
  const data = (): unknown[] => messages.map((message) => message.data)
  return {
    messages,
    gaps,
    data,
    handler: (message) => void messages.push(message),
    onGap: (gap) => void gaps.push(gap),
    until: async (count, withinMs = 10_000) => {
      await waitFor(`${count} messages, of which ${messages.length} have come`, () => messages.length >= count, { withinMs })
      return data()
    },
    untilData: async (wanted, withinMs = 10_000) => {
      await waitFor(`the message ${JSON.stringify(wanted)}`, () => messages.some((message) => message.data === wanted), { withinMs })
      return data()
    },
  }
}

/** Publishes a word on the channel, over the same connection as what was published before, and waits until it has come. */
export async function settled(manager: Manager, channel: string, heard: Heard, withinMs?: number): Promise<unknown[]> {
  const word = `end ${randomUUID()}`
  await manager.publish(channel, word)
  return (await heard.untilData(word, withinMs)).filter((data) => data !== word)
}

/** Which channels with this beginning anybody listens to, on the server. */
export async function channelsOn(outside: RespClient, keyPrefix: string): Promise<string[]> {
  const all = (await outside.call('PUBSUB', 'CHANNELS', `${keyPrefix}*`)) as string[]
  return all.map((name) => name.slice(keyPrefix.length)).sort()
}

/** How many connections listen to a channel, on the server. */
export async function listenersOf(outside: RespClient, whole: string): Promise<number> {
  return ((await outside.call('PUBSUB', 'NUMSUB', whole)) as [string, number])[1]
}

/** The connections that listen to channels. */
export async function listening(outside: RespClient): Promise<string[]> {
  return String(await outside.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('\n').filter((line) => / r?sub=[1-9]| psub=[1-9]| ssub=[1-9]/.test(line))
}

/** How often a command was called on the server. */
export async function callsOf(outside: RespClient, command: string): Promise<number> {
  const text = String(await outside.call('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
}

/** Somebody else's subscriber: a socket, and the payloads that came on it. */
export class Foreign {
  readonly payloads: string[] = []
  private rest = ''

  private constructor(private readonly socket: Socket) {}

  static async listen(port: number, channel: string, verb: 'SUBSCRIBE' | 'SSUBSCRIBE' = 'SUBSCRIBE'): Promise<Foreign> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const foreign = new Foreign(socket)
    let begun = false
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      begun ||= text.toUpperCase().includes(verb)
      foreign.read(text)
    })
    socket.write(`*2\r\n$${verb.length}\r\n${verb}\r\n$${Buffer.byteLength(channel)}\r\n${channel}\r\n`)
    await waitFor('the subscription of a foreign client', () => begun)
    return foreign
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  /** Payloads without line breaks alone: what we publish has none. */
  private read(text: string): void {
    this.rest += text
    const parts = this.rest.split('\r\n')
    this.rest = parts.pop() ?? ''
    for (let at = 0; at < parts.length; at++) {
      if (!/^s?message$/.test(parts[at] ?? '')) continue
      if (parts.length <= at + 4) {
        this.rest = [...parts.slice(at - 2), this.rest].join('\r\n')
        return
      }
      this.payloads.push(parts[at + 4] as string)
      at += 4
    }
  }
}

// Event streams over a real server, to clients that destroy their sockets.
import { createServer, get, type ClientRequest, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeStream } from 'node:stream/web'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { range } from '../boundary/inside'
import { onOwnServer, type Instance } from '../cache/stores'
import { waitFor } from '../support/wait-for'
import { channelsOn } from './messages'

const { outside, open } = onOwnServer()
let holdfast: Instance
let http: Server
let port: number

beforeAll(async () => {
  holdfast = open({ keyPrefix: 'http:' })
  http = createServer((request, response) => {
    const controller = new AbortController()
    response.on('close', () => controller.abort())
    const headers = new Headers(request.headers as Record<string, string>)
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const stream = holdfast.createEventStream({ headers, signal: controller.signal }, pathname.slice(1), { persistent: searchParams.has('persistent'), heartbeat: '1s' })
    stream.headers.forEach((value, name) => response.setHeader(name, value))
    response.writeHead(stream.status)
    Readable.fromWeb(stream.body as NodeStream).on('error', () => {}).pipe(response)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  port = (http.address() as AddressInfo).port
})
afterAll(() => {
  http.closeAllConnections()
  http.close()
})

async function connected(path: string, headers: Record<string, string> = {}): Promise<{ client: ClientRequest; text: () => string }> {
  let text = ''
  const client = get({ port, path, headers, agent: false })
  client.on('error', () => {})
  const response = await new Promise<IncomingMessage>((resolve) => client.once('response', resolve))
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => (text += chunk)).on('error', () => {})
  return { client, text: () => text }
}

describe('clients of an http server', () => {
  it('hear what is published as it comes, and leave nothing when their sockets are destroyed', async () => {
    const { pubSubManager } = holdfast
    const clients = await Promise.all(range(50).map((n) => connected(`/room${n % 5}`)))
    await waitFor('them to listen', () => range(5).every((n) => pubSubManager.getSubscriberCount(`room${n}`) === 10))
    await waitFor('the server to tell', async () => (await channelsOn(outside(), 'http:')).length === 5)
    for (const n of range(5)) await pubSubManager.publish(`room${n}`, `of ${n}`)
    for (const [n, { text }] of clients.entries()) await waitFor('the message', () => text().includes(`"data":"of ${n % 5}"`))
    for (const { client } of clients) client.destroy()
    await waitFor('the subscriptions to end', () => pubSubManager.getActiveChannels().length === 0)
    await waitFor('the channels to be left', async () => (await channelsOn(outside(), 'http:')).length === 0)
  })

  it('that come back with the last id they heard get what they missed, and nothing twice', async () => {
    const { pubSubManager } = holdfast
    const seen: number[] = []
    let last: string | undefined
    let published = 0
    for (const round of range(8)) {
      const { client, text } = await connected('/kept?persistent', last === undefined ? {} : { 'last-event-id': last })
      await waitFor('it to listen', () => pubSubManager.getSubscriberCount('kept') === 1)
      if (round === 0) await waitFor('the server to tell', async () => (await channelsOn(outside(), 'http:')).length === 1)
      for (const _ of range(25)) await pubSubManager.publish('kept', published++, { persistent: true })
      // It goes somewhere in the middle.
      await waitFor('some', () => text().split('\n\n').length > 5 + round)
      client.destroy()
      for (const block of text().split('\n\n').slice(0, -1)) {
        const [, id, data] = /^(?:id: (\S+)\n)?(?:event: .*\n)?data: (.*)$/.exec(block) ?? []
        if (data === undefined) continue
        // What was heard before Redis told of the channel has none.
        last = id ?? last
        seen.push((JSON.parse(data) as { data: number }).data)
      }
      await waitFor('it to have gone', () => pubSubManager.getSubscriberCount('kept') === 0)
    }
    expect(seen).toEqual(range(seen.length))
    expect(seen.length).toBeGreaterThan(40)
  })
})

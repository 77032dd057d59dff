// The other end of the chat route: its lines, one by one, as they arrive.

import type { ChatEvent } from './events'

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ChatEvent, void, void> {
  // Not `for await`: not every browser can iterate a stream.
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line !== '') yield JSON.parse(line) as ChatEvent
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

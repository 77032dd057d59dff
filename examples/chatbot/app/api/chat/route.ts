// POST { messages: [{ role, content }] }: the answer to the last message, streamed as lines of JSON.

import { answer } from '@/lib/chat/answer'
import { readQuestion } from '@/lib/chat/conversation'
import type { ChatEvent } from '@/lib/chat/events'
import { questions } from '@/lib/limits'
import { model } from '@/lib/model'
import { remember, sessionOf, type VisitorSession } from '@/lib/session'

export const dynamic = 'force-dynamic'

export const POST = questions.wrap(async (request: Request) => {
  const question = readQuestion(await request.json().catch(() => undefined))
  if ('problem' in question) return Response.json({ error: question.problem }, { status: 400 })

  const session = await remembered(request, question.prompt)
  const gone = new AbortController()
  const signal = AbortSignal.any([request.signal, gone.signal])
  const response = new Response(lines(answer(question, model(), signal), () => gone.abort()), {
    headers: {
      'content-type': 'application/x-ndjson; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      // Proxies that gather answers before they pass them on would undo the streaming.
      'x-accel-buffering': 'no',
    },
  })
  return session?.commit(response) ?? response
})

/** The visitor's session with the question in it. What goes wrong with it costs no answer. */
async function remembered(request: Request, prompt: string): Promise<VisitorSession | null> {
  try {
    const session = await sessionOf(request)
    await remember(session, prompt)
    return session
  } catch (error) {
    console.error(error)
    return null
  }
}

/** Each event as a line, made when it is asked for. */
function lines(events: AsyncGenerator<ChatEvent, void, void>, cancelled: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await events.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`))
    },
    async cancel() {
      cancelled()
      await events.return()
    },
  })
}

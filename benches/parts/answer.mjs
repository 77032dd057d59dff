// In the process of one contender in one part: it measures, and ends.
import { answer, request } from '../lib/child.mjs'
import { partNamed } from './parts.mjs'

export async function answerFor({ parts }) {
  const { partId, contenderId, port } = request()
  const part = partNamed(parts, partId)
  answer(await part.measure(part.contenders.find(({ id }) => id === contenderId), { port }))
}

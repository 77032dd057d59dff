// The process of one contender in one part: it measures, and ends.
import { answer, request } from '../lib/child.mjs'
import { partNamed } from './parts.mjs'

const { partId, contenderId, port } = request()
const part = partNamed(partId)
answer(await part.measure(part.contenders.find(({ id }) => id === contenderId), { port }))
